# started FOLDER SECONDS UNIT...: waits until a run's units are active, where somebody else starts them. Exits
# with 3 once a slave's end is on record instead; with 4 when nobody has begun to start a unit, which it names,
# for so many seconds.
folder=$1
seconds=$2
shift 2
end=$(($(date +%s) + seconds))
while [ -d "$folder" ] && [ ! -e "$folder/over" ]; do
    ! ls "$folder"/lost/* >/dev/null 2>&1 || exit 3
    states=$(systemctl is-active "$@")
    late=$(echo "$states" | grep -nvx active) || exit 0
    case $states in *activating*) end=$(($(date +%s) + seconds)) ;; esac
    if [ "$(date +%s)" -ge "$end" ]; then
        shift $((${late%%:*} - 1))
        echo "$1"
        exit 4
    fi
    sleep 0.1
done
