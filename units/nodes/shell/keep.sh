# keep COMMAND...: what it writes into `output` is shown to the journal as well. That is a file, since mpirun
# drops what the reader of a pipe has not taken when it ends. Without room for more the command is ended. When
# it was told to end it leaves `told` behind.
here=$(dirname "$0")
has_room() { [ $(($(stat --file-system --format '%a * %S' "$here"))) -ge 1048576 ]; }
before=$(stat --format %s "$here/output")
child=
trap ': >"$here/told"; [ -z "$child" ] || kill -TERM $child' TERM
"$@" &
child=$!
[ ! -e "$here/told" ] || kill -TERM $child
tail --bytes "+$((before + 1))" --follow --sleep-interval 0.1 --pid $child "$here/output" &
shown=$!
{
    # It looks at the command too: a shell that was only just forked may miss the signal to end.
    while has_room; do
        sleep 1
        kill -0 $child 2>/dev/null || exit
    done
    : >"$here/unkept"
    # Again and again: it may not have been told yet what that means to it.
    while kill -TERM $child; do sleep 1; done 2>/dev/null
} &
watch=$!
wait $child
code=$?
while kill -0 $child 2>/dev/null; do
    wait $child
    code=$?
done
kill $watch 2>/dev/null
has_room || : >"$here/unkept"
while kill -0 $shown 2>/dev/null; do wait $shown; done
exit $code
