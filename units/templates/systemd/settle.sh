# settle FOLDER: waits until it is on record how slaves ended that do not answer any more.
for announced in "$1"/announced/*; do
    {
        lost=$1/lost/$(basename "$announced")
        tries=30
        until [ -e "$lost" ] || timeout 3 sh "$announced/check" >/dev/null 2>&1 || [ $((tries -= 1)) -lt 0 ]; do
            sleep 0.1
        done
    } &
done
wait
