"""The data that go into an engine and come back from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Slave:
    """One place for a job's ranks. `index` counts from 1, `slots` is its number of ranks.

    While the slave is alive, etcd has the value `member` at `key`; the caller gives both. `cpus` is the limit
    in cores and `memory` in bytes, None for no limit. `node` is the machine it was placed on, and `port` that
    of its sshd there; only engines that have nodes use these two.
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
    """One process of a service or a `profile`. A `web` process is reached at `address` and `port`.

    An empty `argv` stands for the image's own command. `node` is the machine it was placed on, and `inner`
    the port it listens on there, to which `port` is forwarded; only engines that have nodes use these two.
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
    """The `program` that mpirun starts (argv with arguments), or the argv of a `script` that calls mpirun.

    `flavour` is one of `openmpi5`, `openmpi4`, `mpich`. `options` go to mpirun, `args` to the script. In
    `options`, `program`, `args` and the values of `env`, `$NAP_APP` and `$NAP_SHARE` stand for those folders.
    In `options`, `program` and `args`, the names of `env` stand for their values as well.
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
        """Whether mpirun is MPICH's Hydra; otherwise it is Open MPI's."""
        return self.flavour == "mpich"


@dataclass(frozen=True)
class Job:
    """One run of one release: all that an engine needs of it, and no more.

    `prefix` is empty for the default home, otherwise the home's short id. `tree` holds the image's files
    (read only; None when a container runtime has them). `visible` are further folders of the home that the
    program can read (its MPI). With `splits`, `slaves` holds one slave with all ranks, which placement can
    split into several, wherever there is room. The processes of a `service` are restarted when they end;
    others end the run. `timeout` is in seconds.
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
    """The name and text of a rendered unit, not yet written to a file."""

    name: str
    content: str


@dataclass(frozen=True)
class Handle:
    """The run's folder, by which an engine finds the run again, also after the daemon died."""

    folder: Path

    @property
    def output(self) -> Path:
        """The program's output, byte for byte; the engine keeps it complete."""
        return self.folder / "output"

    @property
    def log(self) -> Path:
        """The log of the units themselves, for diagnosis."""
        return self.folder / "units.log"

    @property
    def remarks(self) -> Path:
        """The engine's remarks on what happened to the run's files, one a line. Usually there is no file."""
        return self.folder / "remarks"

    @property
    def remarked(self) -> list[str]:
        return self.remarks.read_text().splitlines() if self.remarks.exists() else []


@dataclass(frozen=True)
class Outcome:
    """How a run ended: the program's exit code, and a sentence when the code needs an explanation.

    Signal n is 128 + n, a timeout 124, a cancelled run 130. `state` is `ended`, or why the run was ended:
    `timed out`, `cancelled`, `replaced`, `lost`. `started` and `ended` are the program's start and end in
    seconds since 1970, by the clock of the machine that ran it; 0.0 when unknown.
    """

    exit_code: int
    reason: str = ""
    state: str = "ended"
    started: float = field(default=0.0, compare=False)
    ended: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class UnitState:
    """The current state of one unit. `pid` is its process number on the machine, 0 when it has ended."""

    name: str
    address: str
    slots: int
    state: str
    pid: int = 0
