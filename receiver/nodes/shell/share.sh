# share WHAT FOLDER MARKS NAME...: marks in FOLDER, which other nodes may see. WHAT is `mark`, to leave one, `see`, to
# tell which of these are there, or `clear`. Run as who programs are.
what=$1 folder=$2 marks=$2/$3
shift 3
case $what in
mark)
    if [ ! -d "$folder" ]; then echo "no such directory" >&2 && exit 1; fi
    mkdir -p "$marks" && : >"$marks/$1"
    ;;
see) for name in "$@"; do [ ! -e "$marks/$name" ] || echo "$name"; done ;;
clear) rm -rf "$marks" ;;
esac
