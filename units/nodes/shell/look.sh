# look FOLDER...: of these runs, a line for each that has no files here, its FOLDER; and for each slave that has
# ended: FOLDER SLAVE RESULT HOW STATUS, and its last words. The same for a daemon of mpirun's that was killed.
for folder in "$@"; do
    if [ ! -d "$folder" ]; then
        echo "$folder"
    elif [ ! -e "$folder/over" ]; then
        for ended in "$folder"/lost/*; do
            # Not echo, for which words may have line ends that are spelled out.
            [ ! -e "$ended" ] || printf '%s\n' "$folder $(basename "$ended") $(head -n 1 "$ended")"
        done
        killed="s,^.*-slave\([0-9]*\) \(129\|1[3-9][0-9]\)$,$folder \1 daemon exited \2 ,p"
        [ ! -s "$folder/daemons" ] || sed -n "$killed" "$folder/daemons"
    fi
done
