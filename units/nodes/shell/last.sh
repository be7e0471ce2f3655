# last BYTES: how the unit ended and how many milliseconds ago, and on the lines below that the output that
# follows its first BYTES.
cd "$(dirname "$0")" || exit
if [ -e ended ]; then
    echo "$(head -n 1 ended) $(($(date +%s%3N) - $(stat --format %.3Y ended | tr -d .,)))"
else
    echo
fi
tail -c "+$(($1 + 1))" output
