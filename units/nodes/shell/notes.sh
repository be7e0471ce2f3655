# notes FOLDER: what agents have noted of mpirun's daemons, a line each, which begins with a plus.
[ ! -e "$1/daemons" ] || head -c 1000000 "$1/daemons" | sed 's/^/+ /'
