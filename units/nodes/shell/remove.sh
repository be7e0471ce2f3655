# remove RUNTIME FOLDER SHARED LABELS UNITS...: ends the units, and takes away all that is of the run. SHARED is
# its /share, or empty where other nodes have the same one. LABELS are filters in one word; UNITS the names of
# their files, which may be a later run's by now: that one's stay.
runtime=$1
folder=$2
shared=$3
labels=$4
shift 4
[ ! -d "$folder" ] || : >"$folder/over"
# Where one of the two is missing grep calls it an error, whatever it has found.
its_file() { grep -lsF "$folder/" "/run/systemd/system/$1" "/etc/systemd/system/$1" || :; }
for unit in "$@"; do
    [ -n "$(its_file "$unit")" ] || continue
    case $unit in
    *@.service) systemctl stop "${unit%.service}*.service" ;;
    *) systemctl stop "$unit" ;;
    esac
done 2>/dev/null
# Unquoted, because they are several words.
left=$($runtime ps --all --quiet $labels) || exit
if [ -n "$left" ]; then
    # A runtime that is broken forgets containers, and their processes go on.
    $runtime container inspect --format '{{.State.Pid}}' $left | grep -vx 0 | xargs -r kill -KILL
fi 2>/dev/null
if [ -n "$left" ] && ! words=$($runtime rm --force --volumes $left 2>&1); then
    # Some may be gone by themselves; what is there runs on, and the run's files are needed to end it.
    left=$($runtime ps --all --quiet $labels) || exit
    [ -z "$left" ] || { echo "$words" >&2 && exit 1; }
fi
for unit in "$@"; do
    file=$(its_file "$unit")
    [ -n "$file" ] || continue
    # A link is somebody else's, who will take it away.
    [ -h "$file" ] || rm -f "$file" "/etc/systemd/system/multi-user.target.wants/$unit"
    systemctl reset-failed "$unit" 2>/dev/null
done
systemctl daemon-reload
rm -rf "$folder" "$shared"
for left in "$folder" ${shared:+"$shared"}; do
    while left=$(dirname "$left") && rmdir "$left" 2>/dev/null; do :; done
done
exit 0
