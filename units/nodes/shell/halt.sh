# halt FOLDER UNIT...: ends a run's processes here. A service whose port leads to another run by now first
# finishes what it was asked, for four seconds at most.
folder=$1
shift
[ -d "$folder" ] || exit 0
: >"$folder/over"
is_busy() {
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
        awk -v port="$port" '$2 ~ port "$" && ($4 == "01" || $4 == "08") { busy = 1 } END { exit !busy }'
}
if [ -e "$folder/way" ] && [ ! -e "$folder/leads" ]; then
    read -r chain address outer inner name <"$folder/way"
    port=$(printf ':%04X' "$inner")
    tries=20
    sleep 0.2
    while is_busy && [ $((tries -= 1)) -gt 0 ]; do sleep 0.2; done
fi
systemctl stop "$@"
