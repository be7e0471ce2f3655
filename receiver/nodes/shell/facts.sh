# What a machine is and has, in lines of KEY=VALUE; it is left as it was. Two variables come before this text:
# `parts`, lines of NAME URL that a node has to reach, and `authorities`, certificates in PEM to trust there.
{
LC_ALL=C
PATH=$PATH:/usr/local/bin:/usr/sbin:/sbin
export LC_ALL PATH

say() { printf '%s=%s\n' "$1" "$(printf '%s' "$2" | tr '\n' ' ')"; }
# Its time is taken when this line arrives.
say clock "$(date +%s.%N)"

root=
if [ "$(id -u)" = 0 ]; then
    say root root
elif refused=$(sudo -n true 2>&1); then
    root='sudo -n'
    say root sudo
else
    say refused "$refused"
fi
say hostname "$(uname -n)"
say machine "$(cat /etc/machine-id 2>/dev/null)"
say os "$(. /etc/os-release 2>/dev/null && printf %s "$PRETTY_NAME")"
say arch "$(dpkg --print-architecture 2>/dev/null || uname -m)"
say cores "$(nproc 2>/dev/null)"
say memory "$(sed -n 's/^MemTotal: *//p' /proc/meminfo)"
say curl "$(curl --version 2>/dev/null | head -n 1)"
say iptables "$(command -v iptables)"
for tool in curl tar timeout; do
    command -v $tool >/dev/null || say lacks $tool
done

if [ -d /run/systemd/system ]; then
    say systemd "$(systemctl --version | head -n 1)"
    say state "$(systemctl is-system-running 2>/dev/null)"
fi

# A runtime that is there and does not work says why; one works that tells its version and its folder.
runtime() {
    path=$(command -v "$1") || return
    # Unquoted, because it may be two words or none.
    told=$(timeout 20 $root "$1" info --format "found $2" 2>&1)
    found=$(printf '%s\n' "$told" | sed -n 's/^found \([0-9]\)/\1/p' | tail -n 1)
    if [ -z "$found" ]; then
        why=$(printf '%s\n' "$told" | sed -n 's/.*level=error msg="\(.*\)"$/\1/p' | head -n 1)
        say broken "$1 ${why:-$(printf '%s\n' "$told" | grep -v '^found' | tail -n 1)}"
        return
    fi
    say runtime "$1 $path $found"
    say disk "$1 $($root df -Pk "${found#* }" 2>/dev/null | tail -n 1)"
}
if [ "$(id -u)" = 0 ] || [ -n "$root" ]; then
    # Nothing is said by its first part, which fails where what Podman runs containers with is broken.
    runtime podman '{{with .Host.OCIRuntime.Name}}{{end}}{{.Version.Version}} {{.Store.GraphRoot}}'
    runtime docker '{{.ServerVersion}} {{.DockerRootDir}}'
fi

say connection "$SSH_CONNECTION"
ip -o -4 addr show up 2>/dev/null | while read -r _ interface _ address _; do
    say address "$interface $address"
done
here=${SSH_CONNECTION%% *}
say route "$(ip -o -4 route get "$here" 2>/dev/null || ip -o -4 route get 192.0.2.1 2>/dev/null)"
say rdma "$(ls /sys/class/infiniband 2>/dev/null)"

reach() {
    told=$(curl --silent --show-error --output /dev/null --connect-timeout 5 --max-time 10 \
        ${trusted:+--cacert "$trusted"} "$2" 2>&1)
    say reached "$1 $? $told"
}
trusted=
if [ -n "$authorities" ]; then
    trusted=$(mktemp) && trap 'rm -f "$trusted"' EXIT && printf '%s\n' "$authorities" >"$trusted"
fi
printf '%s' "$parts" | while read -r name url; do
    reach "$name" "$url"
done
say end end
# This text comes through standard input: nothing that is run may read it.
} </dev/null
