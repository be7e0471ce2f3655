# settle FOLDER: waits until it is on record how slaves ended that do not answer any more.
for announced in "$1"/announced/*; do
    {
        lost=$1/lost/$(basename "$announced")
        # That may take 6 s on a node that has much to do.
        end=$(($(date +%s) + 10))
        until [ -e "$lost" ] || timeout 3 sh "$announced/check" >/dev/null 2>&1 || [ "$(date +%s)" -ge $end ]; do
            sleep 0.1
        done
    } &
done
wait
