# aloud COMMAND...: what it says is the program's own output.
exec "$@" >"$(dirname "$0")/pipe" 2>&1
