# Lets a key in: `key` comes before this text, the line of an authorized_keys file. Run as who logs in.
{
umask 077
file=$HOME/.ssh/authorized_keys
mkdir -p "$HOME/.ssh" || exit
if ! grep -qxF "$key" "$file" 2>/dev/null; then
    # The last line may lack its end.
    [ -z "$(tail -c 1 "$file" 2>/dev/null)" ] || echo >>"$file"
    printf '%s\n' "$key" >>"$file" || exit
fi
# Where SELinux is, sshd reads what has the right label alone.
if command -v restorecon >/dev/null; then restorecon -F "$HOME/.ssh" "$file"; fi
echo "nap's key is let in"
} </dev/null
