#!/bin/sh
# report.sh FILE: the wettest month and the sum of a year's rain, in mm.
set -e

awk '!/^#/ { sum += $2; if ($2 > most) { most = $2; month = $1 } }
     END { print "wettest month: " month; print "sum: " sum " mm" }' "$1"
