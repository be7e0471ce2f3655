#!/bin/sh
# nap's rsh agent: mpirun calls its copy in the run's folder as `agent [-x] SLAVE COMMAND...` where it would
# call ssh.
# Hands COMMAND to the slave of that name and answers with its exit status.
# Its environment is the program's: its tools are to be the machine's all the same.
unset LD_PRELOAD LD_LIBRARY_PATH
[ "$1" = -x ] && shift
folder=$NAP_SLAVES/$1
shift
command=$*
# Open MPI 5's daemon would leave who started it, and nobody would hear how it ended.
case $command in
*" --daemonize "*)
    command="${command%%" --daemonize "*} --leave-session-attached ${command#*" --daemonize "}"
    ;;
esac
[ -p "$folder/requests" ] || { echo "nap: no slave has the folder $folder" >&2; exit 255; }
command -p mkfifo "$folder/$$.status" || exit 255
printf '%s\n' "$command" >"$folder/$$.command"
echo $$ >"$folder/requests"
read -r status <"$folder/$$.status"
command -p rm -f "$folder/$$.status" "$folder/$$.command"
# Hydra takes any other answer than 0 for its own failure, and hangs over it.
[ "$NAP_AGENT_STATUS" = ignore ] && exit 0
exit "$status"
