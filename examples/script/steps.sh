#!/bin/sh
# Two MPI runs one after the other; the second reads the file that the first one wrote.
# NAP_SHARE is the one directory that all slaves of a run see.
set -e

points="$NAP_SHARE/points.bin"
mpirun ./points write "$points"
echo "between: $(wc -c < "$points") bytes"
mpirun -n 2 ./points add "$points"
