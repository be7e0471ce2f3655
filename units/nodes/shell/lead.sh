# lead HOW: where a service is found. `first`: once it answers, its port leads to this run from now on, and to
# none before it; connections that are open go on. Exits with 3 when it does not answer. `again`: it does so
# after it was started anew. `end`: the port leads nowhere, unless another run has it.
cd "$(dirname "$0")" || exit
read -r chain address port inner name <way

case $1 in
first)
    tries=10
    until sh "announced/$name/check"; do
        [ $((tries -= 1)) -gt 0 ] || exit 3
        sleep 0.1
    done
    ;;
again) [ -e leads ] || exit 0 ;;
esac
# One of the app's runs at a time.
exec 9<..
flock 9

case $1 in
# A machine that goes down from here on finds it so when it is up again.
first) : >leads ;;
end)
    iptables --wait -t nat -S "$chain" 2>/dev/null | grep -q -- "--to-ports $inner\$" || exit 0
    for hook in PREROUTING OUTPUT; do iptables --wait -t nat -D "$hook" -j "$chain"; done
    iptables --wait -t nat -F "$chain"
    iptables --wait -t nat -X "$chain"
    exit
    ;;
esac
# All at once: there is no moment without.
iptables-restore --wait --noflush <<END || exit 1
*nat
:$chain - [0:0]
-A $chain -p tcp -d $address --dport $port -j REDIRECT --to-ports $inner
COMMIT
END
for hook in PREROUTING OUTPUT; do
    iptables --wait -t nat -C "$hook" -j "$chain" 2>/dev/null ||
        iptables --wait -t nat -I "$hook" -j "$chain" || exit 1
done
[ "$1" = first ] || exit 0
for other in ../*/leads; do [ "$other" -ef leads ] || rm -f "$other"; done
