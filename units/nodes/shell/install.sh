# install FOLDER SHARED [UNIT...]: puts the files that come in as a tar archive in their places, and starts the
# units. When one does not start, its last words are this script's. SHARED is a folder that another node has
# made in a directory that is the same on both, or empty.
set -e
umask 077
folder=$1
shared=$2
shift 2
if [ -n "$shared" ] && ! timeout 10 test -d "$shared"; then
    echo "$shared, which another node has just made, is not there: is it another directory?" >&2
    exit 1
fi
words=$(tar --extract --directory / --file - --same-owner --same-permissions 2>&1) || {
    echo "$words" | head -n 1 >&2
    exit 1
}
[ $# -gt 0 ] || exit 0
systemctl daemon-reload
[ ! -e "/etc/systemd/system/$1" ] || systemctl enable --quiet "$@"
said=$(systemctl start "$@" 2>&1) && exit
set +e
# What announces a slave is cancelled as soon as the slave begins to end, whose last words come after that.
slaves=$(systemctl show --value --property=BindsTo "$@")
while systemctl show --value --property=ActiveState $slaves | grep -qx deactivating; do sleep 0.1; done
if [ -d "$folder/lost" ]; then
    words=$(cut -d ' ' -f 4- "$folder"/lost/* | tail -n 1)
else
    timeout 3 journalctl --sync
    words=$(timeout 3 journalctl --quiet --no-pager --output=cat --lines=1 $(printf '_SYSTEMD_UNIT=%s ' "$@"))
fi
echo "${words:-$said}" >&2
exit 1
