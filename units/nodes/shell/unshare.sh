# unshare FOLDER: takes a run's folder out of the directory that is the same on all nodes, and what held it.
chmod -R u+rwX "$1" 2>/dev/null
rm -rf "$1" || exit
left=$1
for _ in run app home nap; do
    left=$(dirname "$left")
    rmdir "$left" 2>/dev/null || exit 0
done
