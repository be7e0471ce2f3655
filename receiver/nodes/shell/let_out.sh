# Lets a key in no more: `key` and `file`, which is an authorized_keys, are set before this text.
{
if [ -n "$key" ] && grep -qsF "$key" "$file"; then
    # Written over, not replaced: owner and mode stay.
    rest=$(grep -vF "$key" "$file")
    printf '%s' "${rest:+$rest
}" >"$file"
fi
} </dev/null
