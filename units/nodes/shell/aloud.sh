# aloud COMMAND...: what it says is the program's own output.
exec "$@" >>"$(dirname "$0")/output" 2>&1
