# What changes on a node, in one line: load, free memory in kB, and the state of systemd.
read -r load _ </proc/loadavg
free=$(sed -n 's/^MemAvailable: *\([0-9]*\).*/\1/p' /proc/meminfo)
echo "$load $free $(systemctl is-system-running)"
