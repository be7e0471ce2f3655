# end [SLAVE]: keeps how the unit ended, as systemd tells it; of a slave its last words too.
here=$(dirname "$0")
said="$SERVICE_RESULT ${EXIT_CODE:-exited} ${EXIT_STATUS:-1}"
if [ $# = 0 ]; then
    [ ! -e "$here/unkept" ] || said='unkept exited 1'
    # It has its room already, there may be no more.
    echo "$said" 1<>"$here/ended.new" && mv "$here/ended.new" "$here/ended"
    exit
fi
[ ! -e "$here/over" ] || exit 0
timeout 3 journalctl --sync
words=$(timeout 3 journalctl --quiet --no-pager --output=cat --lines=50 "_SYSTEMD_INVOCATION_ID=$INVOCATION_ID" |
    # What sshd says of its announcer, who greets it as no client would.
    grep -v '^kex_exchange_identification: ' | tail -n 1)
mkdir -p "$here/lost"
printf '%s\n' "$said $words" >"$here/$1.new" && mv "$here/$1.new" "$here/lost/$1"
