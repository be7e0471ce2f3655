# share FOLDER: makes a run's folder in the directory that is the same on all nodes.
# Twice, because what other runs leave there may be taken away at the same time.
mkdir -p "$(dirname "$1")" 2>/dev/null
mkdir -p "$1" && chmod 700 "$1"
