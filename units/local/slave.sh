# A slave: takes requests from its FIFO and starts each as a child of its own, so that every rank
# descends from it. A shell, since it has to be small: a machine may hold hundreds. The runner hears
# of each by descriptor 4.
#   $1 the slave's name, to be told apart in a process list
# What it starts gets the program's environment; the slave itself does not go by that.
exec 3<>"$NAP_SLAVE_FOLDER/requests" || exit 1
while read -r id <&3; do
    echo "$1 started" >&4
    (
        exec 3<&-
        command=$(cat "$NAP_SLAVE_FOLDER/$id.command")
        cd "$NAP_APP" &&
            (eval "$NAP_ENVIRONMENT"; unset NAP_ENVIRONMENT; exec /bin/sh -c "$command") </dev/null 4>&-
        status=$?
        echo "$1 $status" >&4
        echo $status >"$NAP_SLAVE_FOLDER/$id.status"
    ) &
done
