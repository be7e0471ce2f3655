# settle FOLDER: waits until it is on record how slaves ended that do not answer any more. Of one of which that
# stays unknown it says so, as `look` does.
for announced in "$1"/announced/*; do
    {
        slave=$(basename "$announced")
        # That may take 6 s on a node that has much to do, and an answer as long.
        end=$(($(date +%s) + 30))
        until [ -e "$1/lost/$slave" ] || timeout 3 sh "$announced/check" >/dev/null 2>&1; do
            if [ "$(date +%s)" -ge $end ]; then
                echo "$1 $slave silent exited 137 it does not answer, and nothing is known of its end"
                break
            fi
            sleep 0.1
        done
    } &
done
wait
