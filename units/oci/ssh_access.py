"""ssh access from a run's master, and nobody else, to its slaves: keys of the run, pinned both ways.

All of it is files of the run, each for one container. Nothing is in an image, an argv or a container's
environment.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from units.job import Pairs
from units.ssh_keys import new_key

INSIDE = "/run/nap"
# The master runs in the first slave's container, but not as its first process, the only one to which a
# runtime's client passes signals. It is therefore ended by a command that reads its PID from NUMBER.
MASTER = "master"
NUMBER = "/tmp/.nap-master"
END_MASTER = ("/bin/sh", f"{INSIDE}/end")
SSH_PORT = 2222
USER = "app"
_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")
# Files that only the containers' user can read; the others hold no secret.
SECRETS = ("id_ed25519", "host_key", "environment")
# The file in which agents note starts and ends of daemons. Only the first slave has it.
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
# Hydra takes any exit code but 0 for a failure of its own, and hangs.
_ANSWERS = {True: "exit 0\n", False: "exit $status\n"}
# Sourced by mpirun's parent shell once mpirun has ended with $code: wait for the agents to note the ends of
# the daemons, which end with mpirun. A try takes 10 ms; there is none if the shell was $told to end.
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
# Every ssh login runs this, whatever command it requests: the shell returns the exit code, also of a signal.
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
    """Return the files of a run's containers in `INSIDE`, by `<folder>/NAME`: see `folder_of`.

    `slaves` are names with the address (empty for any) and the port at which their sshd listens. A
    `forgiving` agent exits with 0 whatever the command's exit code is.
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
        # Open MPI 4's daemons check that an agent exists, and end when there is none.
        made[f"{folder}/agent"] = agent
        known.append(f"{name} {public}\n")
    return {**made, "master/known_hosts": "".join(known)}


def folder_of(index: int, name: str) -> str:
    """Return a slave's folder of files. The first slave shares the master's: both are in one container."""
    return MASTER if index == 1 else name


def ssh_config(addresses: Mapping[str, tuple[str, int]], away: int = 0) -> str:
    """Return the master's ssh settings, with each slave's address and port by name.

    ssh gives a slave up after about `away` seconds of silence; 0 disables that.
    """
    alive = f"  ServerAliveInterval {-(-away // 3)}\n  ServerAliveCountMax 3\n" if away else ""
    form = "Host {0}\n  HostName {1}\n  Port {2}\n  HostKeyAlias {0}\n"
    return "".join(form.format(name, *address) for name, address in addresses.items()) + _SSH + alive


def environment(env: Pairs) -> str:
    """Return `env` as lines for a shell, without an image's names that would make the shell exit."""
    known = (pair for pair in env if _NAME.fullmatch(pair[0]))
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in known)


def listed(env: Pairs) -> str:
    """Return `env` in the format of runtimes' `--env-file`: a line each."""
    return "".join(f"{name}={value}\n" for name, value in env)


def passwd(uid: int) -> str:
    """Return the passwd of a run's containers, whatever the image has: sshd looks users up by name."""
    return (
        "root:x:0:0:root:/root:/usr/sbin/nologin\n"
        f"{USER}:x:{uid}:{uid}:{USER}:/tmp:/bin/sh\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    )


def group(uid: int) -> str:
    return f"root:x:0:\n{USER}:x:{uid}:\nnogroup:x:65534:\n"


def write(folder: Path, contents: Mapping[str, str]) -> list[Path]:
    """Write the files for containers to mount. Return the secrets, which the containers' user must own."""
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
