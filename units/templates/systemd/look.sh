# look FOLDER...: of these runs, a line for each that has no files here, its FOLDER; and for each slave that has
# ended: FOLDER SLAVE RESULT HOW STATUS, and its last words.
for folder in "$@"; do
    if [ ! -d "$folder" ]; then
        echo "$folder"
    elif [ ! -e "$folder/over" ]; then
        for ended in "$folder"/lost/*; do
            [ ! -e "$ended" ] || echo "$folder $(basename "$ended") $(cat "$ended")"
        done
    fi
done
