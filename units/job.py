"""The values that go into an engine and come back from it. Data only."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Slave:
    """One place of a job's ranks. `index` counts from 1, `slots` is its number of ranks.

    While it is alive `member` stands in etcd at `key`; both are given, not made up here. `cpus` are the
    cores and `memory` the bytes it may use, where there is a limit. `node` is the machine it was placed on,
    and `port` where its sshd listens there; both are of engines that have nodes.
    """

    index: int
    name: str
    address: str
    slots: int
    key: str = ""
    member: str = ""
    cpus: int | None = None
    memory: int | None = None
    node: str = ""
    port: int = 0


@dataclass(frozen=True)
class Process:
    """One process of a service or a `profile`. `port` is where a `web` process is found, at `address`.

    An empty `argv` is the image's own command. `node` is the machine it was placed on, and `inner` the port
    it listens on there, which leads on from `port`; both are of engines that have nodes.
    """

    name: str
    argv: tuple[str, ...]
    port: int | None = None
    key: str = ""
    member: str = ""
    address: str = "127.0.0.1"
    node: str = ""
    inner: int = 0


@dataclass(frozen=True)
class Mpi:
    """What mpirun is to start: `program` (argv, arguments included); or, when given, the argv of a
    `script` that calls mpirun itself.

    `flavour` is one of `openmpi5`, `openmpi4`, `mpich`; `options` go to mpirun. In both, and in the
    values of `env`, `$NAP_APP` and `$NAP_SHARE` stand for those folders; in `options`, `program` and
    `args`, which the script is given, the names of `env` stand for their values too.
    """

    flavour: str
    np: int
    program: tuple[str, ...] = ()
    script: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    env: Pairs = ()

    @property
    def is_mpich(self) -> bool:
        """Its mpirun is Hydra; else it is one of Open MPI's."""
        return self.flavour == "mpich"


@dataclass(frozen=True)
class Job:
    """One run of one release, whole: what an engine needs to know, and nothing it does not.

    `prefix` is empty for the default home, else the home's short id. `tree` holds the image's files
    (read only; None where a container runtime has them), `visible` are further folders of the home that a
    program may see (its MPI).
    `splits`: `slaves` is one for all ranks, which may be several, wherever there is room for some.
    `service` processes are restarted when they end; others end the run. `timeout` is in seconds.
    """

    app: str
    run: int
    release: int
    prefix: str
    image: str
    tree: Path | None
    stack: str
    env: Pairs = ()
    visible: tuple[Path, ...] = ()
    slaves: tuple[Slave, ...] = ()
    splits: bool = False
    mpi: Mpi | None = None
    processes: tuple[Process, ...] = ()
    service: bool = False
    timeout: int | None = None
    results: tuple[str, ...] = ()
    workdir: str = "/app"


@dataclass(frozen=True)
class UnitFile:
    """A rendered unit. Writing it is somebody else's."""

    name: str
    content: str


@dataclass(frozen=True)
class Handle:
    """What an engine needs to find a run again, also after the daemon died: its folder."""

    folder: Path

    @property
    def output(self) -> Path:
        """The program's output, byte for byte; the engine keeps it complete."""
        return self.folder / "output"

    @property
    def log(self) -> Path:
        """What the units themselves said, for whoever looks for a fault."""
        return self.folder / "units.log"

    @property
    def remarks(self) -> Path:
        """What an engine has to say of what became of the run's files, in lines; mostly not there."""
        return self.folder / "remarks"

    @property
    def remarked(self) -> list[str]:
        return self.remarks.read_text().splitlines() if self.remarks.exists() else []


@dataclass(frozen=True)
class Outcome:
    """How a run ended: the program's exit code, and a sentence when more is to be said.

    A signal is 128 + n, a timeout 124, a cancelled run 130. `state` is `ended`, or why it was ended:
    `timed out`, `cancelled`, `replaced`, `lost`. When the program was started and when it ended is in seconds
    since 1970, as who ran it saw it; 0.0 is not known.
    """

    exit_code: int
    reason: str = ""
    state: str = "ended"
    started: float = field(default=0.0, compare=False)
    ended: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class UnitState:
    """One unit as it is now; `pid` is the machine's own number for it, 0 when it is gone."""

    name: str
    address: str
    slots: int
    state: str
    pid: int = 0
