# master RUNTIME CONTAINER COMMAND...: COMMAND is the runtime's client that has something run in the container. It
# hands no signal on: what is told to end is ended inside. Where that cannot be done the client is.
runtime=$1
container=$2
shift 2
child=
told=
end() { "$runtime" exec "$container" /bin/sh /run/nap/end >/dev/null 2>&1 || kill -TERM $child; }
trap 'told=1; [ -z "$child" ] || end' TERM
"$@" &
child=$!
[ -z "$told" ] || end
wait $child
code=$?
# Each time it is told a wait is cut short, and the client may have ended meanwhile: 127 is what was waited for.
while [ -n "$told" ]; do
    told=
    wait $child
    again=$?
    [ $again = 127 ] || code=$again
done
exit $code
