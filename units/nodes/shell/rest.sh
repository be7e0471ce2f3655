# rest RUNTIME CONTAINER: before a process that stays up is started; one that crashed is left alone for a while.
cd "$(dirname "$0")" || exit
# A node that lost power has its container still.
"$1" rm --force --volumes "$2" >/dev/null 2>&1
[ ! -e pause ] || sleep "$(cat pause)"
: >begun
