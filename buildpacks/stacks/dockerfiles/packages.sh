#!/bin/sh
# Installs Debian packages, and leaves nothing beside them in the layer: no lists, no logs, no ssh host
# key that a package made, no tables for those who build packages. What apt says is shown when it fails.
set -eu
export DEBIAN_FRONTEND=noninteractive
said=$(mktemp)
apt() { apt-get -qq -o Acquire::Retries=3 -o APT::Update::Error-Mode=any "$@"; }
attempt() { apt update && apt install -y --no-install-recommends "$@"; }
for left in 2 1 0; do
    attempt "$@" >"$said" 2>&1 && break
    if [ "$left" = 0 ] || ! grep -q 'Failed to fetch' "$said"; then
        cat "$said"
        exit 1
    fi
    sleep 5
done
apt-get clean
rm -rf "$said" /etc/ssh/ssh_host_* /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/debconf/*.dat* \
    /var/lib/dpkg/*-old /var/lib/dpkg/info/*.symbols /var/log/apt /var/log/*.log
