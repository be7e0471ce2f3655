# last BYTES: how the unit ended, and on the lines below that the output that follows its first BYTES.
cd "$(dirname "$0")" || exit
head -n 1 ended 2>/dev/null || echo
tail -c "+$(($1 + 1))" output
