# crashed WHO RUNTIME CONTAINER: a process that stays up has ended. Unless it was told to, it is started again:
# after 1 s, then twice as long each time it crashes, 60 s at most; who lived for a minute begins anew.
cd "$(dirname "$0")" || exit
"$2" rm --force --volumes "$3" >/dev/null 2>&1
if [ -e told ] || [ -e ../../over ]; then
    rm -f told pause
    exit
fi
now=$(date +%s)
lived=$((now - $(stat --format %Y begun 2>/dev/null || echo "$now")))
pause=$(($(cat pause 2>/dev/null || echo 0) * 2))
[ "$lived" -lt 60 ] && [ "$pause" -gt 0 ] || pause=1
[ "$pause" -le 60 ] || pause=60
echo "$pause" >pause
code=$EXIT_STATUS
[ "$EXIT_CODE" = exited ] || code=137
echo "nap: $1 ended with $code; starting it again in $pause s" >>output
