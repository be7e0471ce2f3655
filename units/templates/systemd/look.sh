# look FOLDER...: of these runs, a line for each that has no files here, its FOLDER; and for each slave that has
# ended: FOLDER SLAVE RESULT HOW STATUS, and its last words.
for folder in "$@"; do
    if [ ! -d "$folder" ]; then
        echo "$folder"
    elif [ ! -e "$folder/over" ]; then
        for ended in "$folder"/lost/*; do
            # Not echo, for which words may have line ends that are spelled out.
            [ ! -e "$ended" ] || printf '%s\n' "$folder $(basename "$ended") $(head -n 1 "$ended")"
        done
    fi
done
