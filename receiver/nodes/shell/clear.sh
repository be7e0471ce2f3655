# clear WHAT ID HOME RUNTIME KEY USER REGISTRY: what a home left on a node. WHAT is `busy`, to name the units that run,
# `all`, to take everything away, or `force`, to do so also where the runtime does not work. ID is the home's
# there, HOME the label of its containers and images, KEY what let it in; REGISTRY is the HOST:PORT whose
# authority Docker was told, or empty.
{
what=$1 id=$2 home=$3 runtime=$4 key=$5 user=$6 registry=$7
cd /
files=$(grep -lsF -e "/run/nap/$id/" -e "/var/lib/nap/$id/" /run/systemd/system/*.service /etc/systemd/system/*.service)
units=$(for file in $files; do
    unit=${file##*/}
    # A template stands for its instances.
    case $unit in *@.service) echo "${unit%.service}*.service" ;; *) echo "$unit" ;; esac
done)

if [ "$what" = busy ]; then
    [ -z "$units" ] || printf '%s\n' "$units" | xargs -d '\n' systemctl list-units --plain --no-legend --full \
        --state=active,activating,reloading | sed 's/^ *\([^ ]*\).*/\1/'
    exit
fi

if [ -n "$units" ]; then
    printf '%s\n' "$units" | xargs -d '\n' systemctl stop
    for file in $files; do
        unit=${file##*/}
        # Enabled, they are links elsewhere too; a template has a slice, which stays.
        systemctl disable --quiet "$unit" 2>/dev/null
        case $unit in *@.service) systemctl stop "system-$(systemd-escape "${unit%@.service}").slice" ;; esac
        rm -f "$file"
    done
    systemctl daemon-reload
    printf '%s\n' "$units" | xargs -d '\n' systemctl reset-failed 2>/dev/null
fi
forget() {
    # Unquoted, because they are several words.
    containers=$("$runtime" ps --all --quiet --filter "label=nap.home=$home") || return
    [ -z "$containers" ] || "$runtime" rm --force --volumes $containers >/dev/null || return
    images=$("$runtime" images --quiet --filter "label=nap.home=$home") || return
    [ -z "$images" ] || "$runtime" rmi --force $images >/dev/null
}
forget || [ "$what" = force ] || exit
rm -rf "/run/nap/$id" "/etc/nap/$id" "/var/lib/nap/$id"
rmdir /run/nap /etc/nap /var/lib/nap 2>/dev/null
[ -z "$registry" ] || rm -rf "/etc/docker/certs.d/$registry"

# What comes after this text lets the key out.
file=$(getent passwd "$user" | cut -d: -f6)/.ssh/authorized_keys
} </dev/null
