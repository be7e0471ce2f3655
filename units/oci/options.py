"""Options of the container runtime's client for nap's containers, whichever engine starts them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from units import launching
from units.job import Job, Pairs, Process, Slave
from units.oci.ssh_access import DAEMONS, INSIDE, NUMBER

HOSTFILE = f"{INSIDE}/hostfile"
# Capabilities that a user's own image can need to start as root and continue as another user.
OWN_IMAGES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID")
SHARE = "/share"
Words = tuple[str, ...]
AGENT = f"{INSIDE}/agent"
# A slave's ranks communicate through shared memory, which takes only the memory in use. With SYS_PTRACE they
# read each other's memory like a debugger, so a large message is copied once.
RANKS = ("--shm-size", "2g", "--cap-add", "SYS_PTRACE")
# The script around a container's command. The environment comes from a file, so no listing shows it. The
# trap is needed because the kernel ignores SIGTERM for a first process without a handler. REMARKS takes what
# is not the program's output, which goes straight to the run's file: clients lose parts of fast output.
REMARKS = 9
OUTPUT = "/run/nap-output"
ENTER = (
    """child=; told=; trap 'told=1; [ -z "$child" ] || kill $child' TERM; """
    f'exec {REMARKS}>&2 >>{OUTPUT} 2>&1; . {INSIDE}/environment; cd "$NAP_APP" || exit; '
    '"$@" & child=$!; [ -z "$told" ] || kill $child; wait $child; code=$?; '
    "while kill -0 $child 2>/dev/null; do wait $child; code=$?; done; "
    f"[ ! -e {INSIDE}/settle ] || . {INSIDE}/settle; exit $code"
)
MASTER = ("/bin/sh", "-c", f"echo $$ >{NUMBER}; {ENTER}", "nap")


@dataclass(frozen=True)
class Conditions:
    """The conditions of all containers of one home on this machine.

    `forwarded` is for a runtime whose containers' addresses cannot be reached from outside: their ports
    are forwarded from 127.0.0.1. With `host_network` all containers are on the machine's own network.
    """

    home: str
    machine: launching.Machine
    uid: int
    pids: int
    forwarded: bool = False
    host_network: bool = False

    @property
    def interface(self) -> str:
        """The interface between the slaves. It cannot be loopback: MPICH's slaves do not connect over it."""
        return self.machine.outward if self.host_network else "eth0"


@dataclass(frozen=True)
class Place:
    """A run's folder, its image's own variables and user, and each slave's port by name."""

    folder: Path
    image_env: Pairs = ()
    ports: Mapping[str, int] = field(default_factory=dict)
    image_user: str = ""


def confined(at: Conditions) -> Words:
    """Return the confining options: no capabilities, no new privileges, no pull, a process limit."""
    return (
        "--label", f"nap.home={at.home}", "--pull", "never", "--cap-drop", "ALL",
        "--security-opt", "no-new-privileges", "--pids-limit", str(at.pids),
    )  # fmt: skip


def limits(slave: Slave, at: Conditions) -> Words:
    cpus = ("--cpus", str(min(slave.cpus, at.machine.cores))) if slave.cpus else ()
    size = str(slave.memory)
    # Without --memory-swap the container could use as much swap in addition.
    memory = ("--memory", size, "--memory-swap", size) if slave.memory else ()
    return (*cpus, *memory)


def as_app(at: Conditions, place: Place) -> Words:
    """Run as nap's own user. The mounted passwd and group make it known in any image."""
    known = (("passwd", "/etc/passwd"), ("group", "/etc/group"))
    mounts = (f"{place.folder}/files/{name}:{path}:ro" for name, path in known)
    return ("--user", f"{at.uid}:{at.uid}", *(word for mount in mounts for word in ("--volume", mount)))


def mounts(place: Place, name: str) -> Words:
    return ("--volume", f"{place.folder}/files/{name}:{INSIDE}:ro")


def output(place: Place) -> Words:
    return ("--volume", f"{place.folder}/output:{OUTPUT}")


def daemons(place: Place) -> Words:
    """Mount the file in which agents note starts and ends of mpirun's daemons."""
    return ("--volume", f"{place.folder}/daemons:{DAEMONS}")


def share(place: Place) -> Words:
    return ("--volume", f"{place.folder}/share:{SHARE}")


def whatever(image: str) -> Words:
    """Return the image, without its entrypoint."""
    return ("--entrypoint", "", image)


def run_env(job: Job, image_env: Pairs = ()) -> Pairs:
    found = launching.program_environment(job, job.workdir, SHARE, image_env)
    return (*found, ("PWD", job.workdir))


def is_own_image(job: Job) -> bool:
    """Return whether the job's processes run in a user's own image, with its own settings."""
    return job.stack == "dockerfile" and not job.mpi


def as_its_own(place: Place, process: Process) -> Words:
    """Run as the image's USER. Only root gets capabilities: Podman would grant them to others too."""
    is_root = place.image_user.partition(":")[0] in ("", "0", "root")
    rights = (word for right in OWN_IMAGES if is_root for word in ("--cap-add", right))
    return ("--env-file", f"{place.folder}/files/{process.name}/environment", *rights)


def command(job: Job, process: Process) -> Words:
    """Return the image and a process's command in it."""
    if not process.argv:
        return (job.image,)
    enter = () if is_own_image(job) else ("/bin/sh", "-c", ENTER, "nap")
    return ("--workdir", job.workdir, *whatever(job.image), *enter, *process.argv)


def process_env(job: Job, image_env: Pairs, port: int | None) -> Pairs:
    """Return a process's environment, with PORT if it listens on one."""
    return (*run_env(job, image_env), *((("PORT", str(port)),) if port else ()))
