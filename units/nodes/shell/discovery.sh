#!/bin/sh
# discovery.sh FOLDER: keeps a key in etcd while what it announces is alive, and removes it on TERM.
#
# FOLDER holds api (v2 or v3), pace (seconds between refreshes, between tries after trouble, and between
# checks until the first that succeeds), check (a shell script), curl (options of every request) and a
# config for curl per request. All that is secret stays in files: none of it is in an argv.
set -u
umask 077
cd "$1" || exit 1
read -r api <api
read -r refresh retry soon <pace
tried='' trouble='' dead='' ended=''
: >token

say() { printf '%s\n' "$*" >&2; }

# One request: the answer's HTTP code in $code, 000 when there was none; its text in `answer`.
send() {
    code=$(curl -q -K curl -K token -K "$1" 2>said) || code=000
}

# A request that has to succeed; the second word lists further codes that are as good.
ask() {
    if [ -e login ] && [ ! -s token ]; then log_in || return; fi
    send "$1"
    if [ -e login ] && [ "$code" = 401 ]; then
        log_in || return
        send "$1"
    fi
    case " 200 201 ${2-} " in *" $code "*) return 0 ;; esac
    : >token
    return 1
}

log_in() {
    : >token
    send login
    [ "$code" = 200 ] || return
    printf 'header = "Authorization: %s"\n' "$(found_in_answer token)" >token
}

found_in_answer() { sed -n 's/.*"'"$1"'": *"\([^"]*\)".*/\1/p' answer; }

v3_write() {
    ask grant 400 || return
    # Refused where the lease is there already: this is a new start of what was killed.
    [ "$code" = 200 ] || ask keepalive || return
    ask put
}

v3_refresh() {
    ask keepalive || return
    grep -q '"TTL"' answer || ask grant || return
    ask create
}

v3_remove() { ask revoke 404; }

v2_write() { ask put; }

v2_refresh() {
    ask refresh '404 412' || return
    [ "$code" != 404 ] || ask create 412
}

v2_remove() { ask remove '404 412'; }

reason() {
    if [ "$code" = 000 ]; then
        sed -e 's/ after [0-9]* ms//' -e 1q said
    else
        printf 'etcd answered %s: %s\n' "$code" "$(found_in_answer message)"
    fi
}

# Write or refresh, and say what is wrong when that is news.
attempt() {
    if "$1"; then
        [ -z "$trouble" ] || say 'Announced again.'
        trouble=''
        return 0
    fi
    why=$(reason)
    [ "$why" = "$trouble" ] || say "Not announced: $why. Trying again every $retry s."
    trouble=$why
    return 1
}

alive() {
    if timeout 10 sh ./check >/dev/null 2>&1; then
        dead=''
        return 0
    fi
    [ -n "$dead" ] || say 'What is announced here does not answer: its key is left to expire.'
    dead=yes
    return 1
}

# A signal is seen at once in `wait`, and only afterwards in a command that is waited for. It may come before
# anything is noted of the sleep that has just begun: but that is the last job then.
pause() {
    sleep "$1" &
    wait "$!"
    ended=$!
}

leave() {
    trap '' TERM INT
    [ "${!-}" = "$ended" ] || kill "$!"
    [ -z "$tried" ] || "${api}_remove" || say "Not removed: $(reason). The key is left to expire."
    exit 0
}
trap leave TERM INT

action=write
while :; do
    if alive; then
        tried=yes
        if attempt "${api}_$action"; then
            action=refresh
            pause "$refresh"
        else
            pause "$retry"
        fi
    elif [ "$action" = write ]; then
        pause "$soon"
    else
        pause "$refresh"
    fi
done
