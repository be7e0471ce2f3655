# keep COMMAND...: its output comes through a pipe, and is kept for nap as well as shown to the journal. When it
# was told to end it leaves `told` behind.
here=$(dirname "$0")
[ -p "$here/pipe" ] || mkfifo -m 666 "$here/pipe"
"$@" &
child=$!
{
    # Whatever becomes of the journal; but without room for the output, the program is ended.
    tee --output-error=exit-nopipe --append "$here/output" <"$here/pipe" && exit
    : >"$here/unkept"
    kill -TERM $child
} &
kept=$!
exec 3>"$here/pipe"
trap ': >"$here/told"; kill -TERM $child' TERM
wait $child
code=$?
while kill -0 $child 2>/dev/null; do
    wait $child
    code=$?
done
exec 3>&-
wait $kept
exit $code
