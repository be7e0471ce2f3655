"""One node of the lab: spoken to over ssh as nap does, and made to fail and put right from outside."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shlex
import socket
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from support import polling

WITHIN = 30
_SIZE = 2 << 30
# What its journal may grow by while it is being filled.
_MARGIN = 16 << 20
# Leaves so many bytes of /run. It is refused where more than that has been written since the look.
_LEAVE = """\
for try in $(seq 100); do
    used=$(df --block-size=1 --output=used /run | tail -n 1)
    said=$(mount -o "remount,size=$((used + $1))" /run 2>&1) && exit
done
echo "$said" >&2
exit 1
"""
_PODMAN = "/usr/bin/podman"
_MASKED = "docker.service", "docker.socket"


def call(*argv: str, within: float = WITHIN) -> str:
    """What a command of this machine prints; AssertionError with what it says when it fails."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=within, check=False)
    assert done.returncode == 0, f"{shlex.join(argv)}: {done.stderr.strip()}"
    return done.stdout


@dataclass
class Node:
    """A container that boots systemd, with an address, sshd and a container runtime.

    All it writes but /run and /tmp is on a disk of 2 GB of its own, which outlives its boots.
    `kind` is the runtime in it, `podman` or `docker`; `key` opens root and `ops`, who has sudo.
    """

    name: str
    address: str
    kind: str
    container: str
    folder: Path
    key: Path
    user: str = "ops"
    port: int = 22
    _up: threading.Event = field(default_factory=threading.Event, init=False)
    _cures: dict[str, Callable[[], None]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        bell.bind(str(self.bell))
        threading.Thread(target=self._listen, args=(bell,), daemon=True).start()

    @property
    def bell(self) -> Path:
        return self.folder / "bell"

    @property
    def disk(self) -> Path:
        """Where its /etc and /var are on this machine."""
        return self.folder / "disk"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def host_key(self) -> str:
        """As a known_hosts file has it, without the host."""
        key = (self.disk / "etc/ssh/ssh_host_ed25519_key.pub").read_text()
        return " ".join(key.split()[:2])

    # What is said to it

    def run(
        self, argv: list[str], user: str = "", stdin: str = "", within: float = WITHIN
    ) -> subprocess.CompletedProcess[str]:
        """Over ssh, as `ops`; a code that is not 0 is the caller's to judge, 255 is ssh's own."""
        return subprocess.run(
            [*self.ssh(user), shlex.join(argv)],
            input=stdin, capture_output=True, text=True, timeout=within, check=False,
        )  # fmt: skip

    def ssh(self, user: str = "") -> list[str]:
        """What stands before one word that the node's shell reads."""
        options = (
            "BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=yes", "ConnectTimeout=10",
            f"UserKnownHostsFile={self.known_hosts}", "GlobalKnownHostsFile=/dev/null", "LogLevel=ERROR",
        )  # fmt: skip
        words = [word for option in options for word in ("-o", option)]
        where = f"{user or self.user}@{self.address}"
        return ["ssh", "-F", "none", "-i", str(self.key), "-p", str(self.port), *words, where, "--"]

    def console(self, *argv: str, within: float = WITHIN) -> str:
        """As root, and without a network; AssertionError where it fails."""
        return call("podman", "exec", "--env", "NOTIFY_SOCKET=", self.container, *argv, within=within)

    def journal(self, unit: str) -> str:
        """What the unit wrote, in all boots."""
        return self.console("journalctl", "--no-pager", "--output=cat", f"--unit={unit}")

    def wait_until_up(self, within: float = WITHIN) -> None:
        """Until systemd has started all that it starts by itself, sshd too."""
        assert self._up.wait(within), f"{self.name} was not up within {within:.0f} s"

    # What happens to it

    def reboot(self) -> None:
        """An orderly one: its services are stopped, and come back by themselves."""
        self._cures["off"] = self.power_on
        # It may be gone before this has said that it is going.
        with contextlib.suppress(AssertionError):
            self.console("systemctl", "--no-block", "reboot")
        call("podman", "wait", self.container, within=3 * WITHIN)
        self.power_on()

    def power_off(self) -> None:
        """At once: nothing in it is told."""
        self._cures["off"] = self.power_on
        call("podman", "kill", "--signal=KILL", self.container)
        call("podman", "wait", self.container)

    def power_on(self) -> None:
        self._up.clear()
        call("podman", "start", self.container)
        self.wait_until_up()
        self._cures.pop("off", None)

    def freeze(self) -> None:
        """It answers nothing, and its connections stay."""
        self._cures["frozen"] = self.thaw
        call("podman", "pause", self.container)

    def thaw(self) -> None:
        call("podman", "unpause", self.container)
        self._cures.pop("frozen", None)

    def cut_off(self) -> None:
        """As if its cable were pulled: what is in it runs on, and whoever speaks to it waits."""
        self._cures["cut off"] = self.join
        call("ip", "link", "set", "dev", self._cable(), "down")

    def join(self) -> None:
        call("ip", "link", "set", "dev", self._cable(), "up")
        polling.until(self._takes_connections, True, WITHIN)
        self._cures.pop("cut off", None)

    def _takes_connections(self) -> bool:
        """Its neighbours have to learn anew where it is."""
        try:
            socket.create_connection((self.address, self.port), WITHIN).close()
        except OSError:
            return False
        return True

    def fill_disk(self) -> None:
        """Not a byte is left where images, containers, units and journals are; /run has room."""
        self._cures["full"] = self.free_disk
        seen = os.statvfs(self.disk)
        self._resize((seen.f_blocks - seen.f_bfree) * seen.f_frsize + _MARGIN)
        with self._ballast.open("wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(bytes(4096))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def free_disk(self) -> None:
        self._ballast.unlink(missing_ok=True)
        self._resize(_SIZE)
        self._cures.pop("full", None)

    def fill_run(self, room: int) -> None:
        """So many bytes are left where the files of runs are."""
        self._cures["run full"] = self.free_run
        self.console("sh", "-c", _LEAVE, "fill", str(room))

    def free_run(self) -> None:
        self.console("mount", "-o", f"remount,size={_SIZE}", "/run")
        self._cures.pop("run full", None)

    def limit_sessions(self, number: int) -> None:
        """Of each connection to its sshd, as an admin may have it."""
        self._cures["sessions"] = self.lift_limit
        self._sessions.write_text(f"MaxSessions {number}\n")
        self.restart_sshd()

    def lift_limit(self) -> None:
        self._sessions.unlink()
        self.restart_sshd()
        self._cures.pop("sessions", None)

    def break_runtime(self) -> None:
        """Podman can start, stop and enter nothing any more; Docker does not answer at all."""
        self._cures["broken"] = self.mend_runtime
        if self.kind == "docker":
            self.console("systemctl", "mask", "--runtime", "--now", *_MASKED)
        else:
            self.console("chmod", "a-x", "/usr/sbin/runc")

    def mend_runtime(self) -> None:
        if self.kind == "docker":
            self.console("systemctl", "unmask", "--runtime", *_MASKED)
            self.console("systemctl", "start", *_MASKED)
        else:
            self.console("chmod", "a+x", "/usr/sbin/runc")
        self._cures.pop("broken", None)

    def hold_runtime(self) -> None:
        """Podman does not tell of all containers: see `wait_until_asked`."""
        self._cures["held"] = self.let_runtime_go
        self.console("mv", _PODMAN, f"{_PODMAN}.real")
        wait = "touch /run/asked; while [ -e /run/asked ]; do sleep 0.1; done"
        text = f'#!/bin/sh\ncase "$*" in "ps --all "*) {wait} ;; esac\nexec {_PODMAN}.real "$@"\n'
        self.console("sh", "-c", f"cat >{_PODMAN} <<'END'\n{text}END\nchmod +x {_PODMAN}")

    def wait_until_asked(self) -> None:
        """Until somebody waits for a runtime that is held."""
        self.console("sh", "-c", "until [ -e /run/asked ]; do sleep 0.1; done")

    def let_runtime_go(self) -> None:
        self.console("sh", "-c", f"mv {_PODMAN}.real {_PODMAN}; rm -f /run/asked")
        self._cures.pop("held", None)

    def restart_sshd(self) -> None:
        """Every connection ends, which a mere restart would leave alone."""
        self.console("systemctl", "stop", "ssh.service")
        self.console("systemctl", "kill", "--kill-whom=all", "--signal=KILL", "ssh.service")
        self.console("systemctl", "start", "ssh.service")

    def put_right(self) -> None:
        """Undo the faults that are still there, the latest first."""
        for cure in reversed(list(self._cures.values())):
            cure()

    def _listen(self, bell: socket.socket) -> None:
        """What systemd says of itself: also later, and it waits until somebody has heard it."""
        while True:
            if b"READY=1" in bell.recv(4096):
                self._up.set()

    def _cable(self) -> str:
        """This machine's end of the node's network interface; another one after each boot."""
        place = call("podman", "inspect", "--format", "{{.NetworkSettings.SandboxKey}}", self.container)
        inside = call("nsenter", f"--net={place.strip()}", "ip", "-json", "link", "show", "dev", "eth0")
        index = json.loads(inside)[0]["link_index"]
        links = json.loads(call("ip", "-json", "link", "show"))
        return next(str(link["ifname"]) for link in links if link["ifindex"] == index)

    @property
    def _sessions(self) -> Path:
        return self.disk / "etc/ssh/sshd_config.d/sessions.conf"

    @property
    def _ballast(self) -> Path:
        return self.disk / "ballast"

    def _resize(self, size: int) -> None:
        call("mount", "-o", f"remount,size={size}", str(self.disk))
