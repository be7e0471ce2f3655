# A slave: takes requests from its FIFO and starts each as a child of its own, so that every rank
# descends from it. A shell, since it has to be small: a machine may hold hundreds.
#   $1 the slave's name, to be told apart in a process list
exec 3<>"$NAP_SLAVE_FOLDER/requests" || exit 1
while read -r id <&3; do
    (
        exec 3<&-
        cd "$NAP_APP" && sh -c "$(cat "$NAP_SLAVE_FOLDER/$id.command")" </dev/null
        echo $? >"$NAP_SLAVE_FOLDER/$id.status"
    ) &
done
