#!/bin/sh
# nap's rsh agent: mpirun calls it as `agent.sh [-x] SLAVE COMMAND...` where it would call ssh.
# Hands COMMAND to the slave of that name and answers with its exit status.
[ "$1" = -x ] && shift
folder=$NAP_SLAVES/$1
shift
[ -p "$folder/requests" ] || { echo "nap: no slave has the folder $folder" >&2; exit 255; }
mkfifo "$folder/$$.status" || exit 255
printf '%s\n' "$*" >"$folder/$$.command"
echo $$ >"$folder/requests"
read -r status <"$folder/$$.status"
rm -f "$folder/$$.status" "$folder/$$.command"
# Hydra takes any other answer than 0 for its own failure, and hangs over it.
[ "$NAP_AGENT_STATUS" = ignore ] && exit 0
exit "$status"
