# fetch KIND RUNTIME IMAGE: has the image here, by its digest.
# One at a time on this node: slaves start together, and runtimes stumble over twice the same pull.
exec 9<"$2" && flock 9
"$2" image inspect "$3" >/dev/null 2>&1 && exit
ours=$(dirname "$0")/registry
if [ "$1" = docker ]; then
    exec "$2" --config "$ours" pull --quiet "$3" >/dev/null
fi
secure=true
[ ! -e "$ours/insecure" ] || secure=false
exec "$2" pull --quiet --tls-verify=$secure --cert-dir "$ours" --authfile "$ours/config.json" "$3" >/dev/null
