"""Words that a container runtime is told of any container of nap's, whatever starts it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from units import launching
from units.job import Job, Pairs, Process, Slave
from units.oci.ssh_access import DAEMONS, INSIDE, NUMBER

HOSTFILE = f"{INSIDE}/hostfile"
# What an image of a user's own may need to start as root and go on as somebody else.
OWN_IMAGES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID")
SHARE = "/share"
Words = tuple[str, ...]
AGENT = f"{INSIDE}/agent"
# Ranks of one slave talk through shared memory, of which only what they use counts, and large messages
# are copied once: each may read the other's memory, as a debugger may.
RANKS = ("--shm-size", "2g", "--cap-add", "SYS_PTRACE")
# What a container's command is run by: its environment is a file, not in any listing; and to a first
# process, which this is, SIGTERM means nothing by itself. What goes to REMARKS is not the program's output.
# It writes the run's output itself: runtimes' clients lose some of it when it comes fast.
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
    """What holds for all containers of one home on this machine.

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
        """Where the slaves reach each other; MPICH's do not over loopback."""
        return self.machine.outward if self.host_network else "eth0"


@dataclass(frozen=True)
class Place:
    """Where a run is put: its folder, its image's own variables and user, and each slave's port by name."""

    folder: Path
    image_env: Pairs = ()
    ports: Mapping[str, int] = field(default_factory=dict)
    image_user: str = ""


def confined(at: Conditions) -> Words:
    """Nothing of the machine can be reached, and no right be gained."""
    return (
        "--label", f"nap.home={at.home}", "--pull", "never", "--cap-drop", "ALL",
        "--security-opt", "no-new-privileges", "--pids-limit", str(at.pids),
    )  # fmt: skip


def limits(slave: Slave, at: Conditions) -> Words:
    cpus = ("--cpus", str(min(slave.cpus, at.machine.cores))) if slave.cpus else ()
    size = str(slave.memory)
    # Without the second one it could take as much again from the disk.
    memory = ("--memory", size, "--memory-swap", size) if slave.memory else ()
    return (*cpus, *memory)


def as_app(at: Conditions, place: Place) -> Words:
    """As nap's own user, who is known in every container whatever its image says."""
    known = (("passwd", "/etc/passwd"), ("group", "/etc/group"))
    mounts = (f"{place.folder}/files/{name}:{path}:ro" for name, path in known)
    return ("--user", f"{at.uid}:{at.uid}", *(word for mount in mounts for word in ("--volume", mount)))


def mounts(place: Place, name: str) -> Words:
    return ("--volume", f"{place.folder}/files/{name}:{INSIDE}:ro")


def output(place: Place) -> Words:
    return ("--volume", f"{place.folder}/output:{OUTPUT}")


def daemons(place: Place) -> Words:
    """Where agents note what becomes of mpirun's daemons."""
    return ("--volume", f"{place.folder}/daemons:{DAEMONS}")


def share(place: Place) -> Words:
    return ("--volume", f"{place.folder}/share:{SHARE}")


def whatever(image: str) -> Words:
    """The image, without the command it brings."""
    return ("--entrypoint", "", image)


def run_env(job: Job, image_env: Pairs = ()) -> Pairs:
    """Return what a program finds in a container."""
    found = launching.program_environment(job, job.workdir, SHARE, image_env)
    return (*found, ("PWD", job.workdir))


def is_own_image(job: Job) -> bool:
    """Whether the job's processes run in a user's own image, as that says."""
    return job.stack == "dockerfile" and not job.mpi


def as_its_own(place: Place, process: Process) -> Words:
    """As whom the image says, with its own variables; to who is not root Podman would give the rights too."""
    is_root = place.image_user.partition(":")[0] in ("", "0", "root")
    rights = (word for right in OWN_IMAGES if is_root for word in ("--cap-add", right))
    return ("--env-file", f"{place.folder}/files/{process.name}/environment", *rights)


def command(job: Job, process: Process) -> Words:
    """The image and what a process is in it."""
    if not process.argv:
        return (job.image,)
    enter = () if is_own_image(job) else ("/bin/sh", "-c", ENTER, "nap")
    return ("--workdir", job.workdir, *whatever(job.image), *enter, *process.argv)


def process_env(job: Job, image_env: Pairs, port: int | None) -> Pairs:
    """What a process finds, which listens on `port` if there is one."""
    return (*run_env(job, image_env), *((("PORT", str(port)),) if port else ()))
