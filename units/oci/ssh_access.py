"""How a run's master gets into its slaves, and nobody else does: keys of the run, pinned both ways.

All of it is files of the run, each for one container; none of it is in an image, an argv or the
environment of a container.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from units.job import Pairs
from units.ssh_keys import new_key

INSIDE = "/run/nap"
# The master runs in the first slave's container, where it is no first process: a runtime's client hands
# signals on to none but that, so who is to end it asks for its number there.
MASTER = "master"
NUMBER = "/tmp/.nap-master"
END_MASTER = ("/bin/sh", f"{INSIDE}/end")
SSH_PORT = 2222
USER = "app"
_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")
# Readable by the containers' user alone; what else there is holds no secret.
SECRETS = ("id_ed25519", "host_key", "environment")
# Where agents note what becomes of the daemons they start: a file that the first slave alone has.
DAEMONS = "/run/nap-daemons"
_AGENT = f"""\
#!/bin/sh
# agent [-x] SLAVE COMMAND...: what mpirun calls where it would call ssh.
[ "$1" = -x ] && shift
slave=$1
shift
command=$*
# Open MPI 5's daemon would leave the login that started it, and nobody would hear how it ended.
case $command in
*" --daemonize "*)
    command="${{command%%" --daemonize "*}} --leave-session-attached ${{command#*" --daemonize "}}"
    ;;
esac
note() {{ [ ! -w {DAEMONS} ] || echo "$slave $*" >>{DAEMONS}; }}
# mpirun ends its agents when it has lost one of its daemons: what has become of that is noted all the same.
{{ ssh -F {INSIDE}/ssh_config "$slave" "$command"; status=$?; note $status; exit $status; }} <&0 &
note started $!
wait $!
status=$?
"""
# Hydra takes any other answer than 0 for its own failure, and hangs over it.
_ANSWERS = {True: "exit 0\n", False: "exit $status\n"}
# Read by the shell that has started mpirun, once that has ended with $code: its daemons end with it, and a
# moment later it is noted how. $tries are of 10 ms, and none where it was $told to end.
_SETTLE = f"""\
tries=500
[ "$code" = 0 ] || tries=100
is_noting() {{
    awaited=0
    while read -r slave word agent; do
        [ "$word" = started ] && awaited=$((awaited + 1)) || awaited=$((awaited - 1))
    done <{DAEMONS}
    [ "$awaited" -gt 0 ]
}} 2>/dev/null
while [ -z "$told" ] && [ $((tries -= 1)) -gt 0 ] && is_noting; do
    sleep 0.01
done
"""
# What an ssh login is, whatever it asks for: this shell tells how that ended, also by a signal.
_LOGIN = f'. {INSIDE}/environment\ncd "$NAP_APP" && eval "$SSH_ORIGINAL_COMMAND"\n'

_SSHD = f"""\
HostKey {INSIDE}/host_key
AuthorizedKeysFile {INSIDE}/authorized_keys
AllowUsers {USER}
ForceCommand exec sh {INSIDE}/login
PidFile none
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
AllowAgentForwarding no
AllowTcpForwarding no
X11Forwarding no
PrintMotd no
UseDNS no
MaxStartups 1024
LogLevel ERROR
"""

_SSH = f"""\
Host *
  User {USER}
  IdentityFile {INSIDE}/id_ed25519
  IdentitiesOnly yes
  UserKnownHostsFile {INSIDE}/known_hosts
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
  CheckHostIP no
  BatchMode yes
  ConnectTimeout 20
  LogLevel ERROR
"""


def files(slaves: Iterable[tuple[str, str, int]], forgiving: bool) -> dict[str, str]:
    """What the containers of a run find in `INSIDE`, by `<folder>/NAME`: see `folder_of`.

    `slaves` are names with the address (empty for any) and the port that their sshd is to listen at;
    an agent that is `forgiving` answers 0 whatever became of the command.
    """
    identity, authorized = new_key()
    agent = _AGENT + _ANSWERS[forgiving]
    made = {
        "master/id_ed25519": identity,
        "master/agent": agent,
        "master/settle": _SETTLE,
        "master/ssh_config": "",
        "master/hostfile": "",
        "master/end": f'kill -TERM "$(cat {NUMBER})"\n',
    }
    known = []
    for index, (name, address, port) in enumerate(slaves, 1):
        private, public = new_key()
        listen = f"ListenAddress {address}\n" if address else ""
        folder = folder_of(index, name)
        made[f"{folder}/host_key"] = private
        made[f"{folder}/authorized_keys"] = f"{authorized}\n"
        made[f"{folder}/sshd_config"] = f"Port {port}\n{listen}{_SSHD}"
        made[f"{folder}/login"] = _LOGIN
        # Open MPI 4's daemons look whether there is one, and end when there is none.
        made[f"{folder}/agent"] = agent
        known.append(f"{name} {public}\n")
    return {**made, "master/known_hosts": "".join(known)}


def folder_of(index: int, name: str) -> str:
    """Where a slave's files are; those of the first are the master's too, which runs in its container."""
    return MASTER if index == 1 else name


def ssh_config(addresses: Mapping[str, tuple[str, int]], away: int = 0) -> str:
    """ssh's settings in the master, with each slave's address and port by name.

    A slave that has been silent for `away` seconds is lost, unless that is 0.
    """
    alive = f"  ServerAliveInterval {-(-away // 3)}\n  ServerAliveCountMax 3\n" if away else ""
    form = "Host {0}\n  HostName {1}\n  Port {2}\n  HostKeyAlias {0}\n"
    return "".join(form.format(name, *address) for name, address in addresses.items()) + _SSH + alive


def environment(env: Pairs) -> str:
    """`env` as lines a shell reads, which ends at a name that is none to it: an image may have such."""
    known = (pair for pair in env if _NAME.fullmatch(pair[0]))
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in known)


def listed(env: Pairs) -> str:
    """`env` as runtimes read a file of variables: a line each."""
    return "".join(f"{name}={value}\n" for name, value in env)


def passwd(uid: int) -> str:
    """Who there is in the containers of a run, whatever the image says: sshd asks for names."""
    return (
        "root:x:0:0:root:/root:/usr/sbin/nologin\n"
        f"{USER}:x:{uid}:{uid}:{USER}:/tmp:/bin/sh\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    )


def group(uid: int) -> str:
    return f"root:x:0:\n{USER}:x:{uid}:\nnogroup:x:65534:\n"


def write(folder: Path, contents: Mapping[str, str]) -> list[Path]:
    """Write them for containers to mount; those that have yet to be given to the containers' user."""
    secrets = []
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(0o755)
        path.touch(mode=0o600)
        path.write_text(content)
        if path.name in SECRETS:
            secrets.append(path)
        else:
            path.chmod(0o755 if path.name == "agent" else 0o644)
    return secrets
