# follow BYTES UNIT: writes the output that follows its first BYTES, until the unit has ended.
cd "$(dirname "$0")" || exit
tail -c "+$(($1 + 1))" -f output &
shown=$!
systemctl start --wait "$2"
kill $shown
