# end [SLAVE]: keeps how the unit ended, as systemd tells it, and its last words: of a slave, and of a master whose
# runtime, or mpirun, could not start what it was to.
here=$(dirname "$0")
said="$SERVICE_RESULT ${EXIT_CODE:-exited} ${EXIT_STATUS:-1}"
last_words() {
    timeout 3 journalctl --sync >/dev/null
    timeout 3 journalctl --quiet --no-pager --output=cat --lines=50 "_SYSTEMD_INVOCATION_ID=$INVOCATION_ID" |
        # What sshd says of its announcer, who greets it as no client would.
        grep -v '^kex_exchange_identification: ' | tail -n 1 | head -c 2000
}
# What is written here has its room already: there may be no more.
if [ $# = 0 ]; then
    case $said in *' exited 12'[567]) said="$said $(last_words)" ;; esac
    [ ! -e "$here/unkept" ] || said='unkept exited 1'
    printf '%s\n' "$said" 1<>"$here/ended.new" && mv "$here/ended.new" "$here/ended"
    exit
fi
[ ! -e "$here/over" ] || exit 0
words=$(last_words)
mkdir -p "$here/lost"
printf '%s\n' "$said $words" 1<>"$here/$1.new" && mv "$here/$1.new" "$here/lost/$1"
