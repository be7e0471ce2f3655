# hear BYTES: writes the output that follows its first BYTES, for some minutes. Those are kept elsewhere, and
# take no room here from now on.
cd "$(dirname "$0")" || exit
[ "$1" = 0 ] || fallocate --punch-hole --offset 0 --length "$1" output 2>/dev/null
# Who listened may be gone, which nothing tells here while nothing is written.
exec timeout 600 tail -c "+$(($1 + 1))" -f output
