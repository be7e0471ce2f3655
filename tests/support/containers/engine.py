"""A containers engine for tests: programs compiled in a stack's image, jobs, and what came of them."""

from __future__ import annotations

import json
import os
import socket
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from support.containers.home import SharedStacks
from support.local_engine import Ended, finished

from buildpacks.stacks.stack import Stack
from units import launching, names
from units.containers.engine import ContainersEngine
from units.job import Handle, Job, Mpi, Process
from units.launching import Machine
from units.oci import container
from units.oci.runtime import Runtime

WITHIN = 90
PROGRAMS = Path(__file__).parents[2] / "lab" / "local"
FLAVOURS = {"openmpi": "openmpi5", "mpich": "mpich"}


class Announcements:
    """What a run's runner says to the node's discovery process, which this is."""

    def __init__(self, home: Path) -> None:
        self._heard = threading.Condition()
        self.members: dict[str, dict[str, Any]] = {}
        self.alive: list[str] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(os.path.relpath(home / "discovery.sock"))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            threading.Thread(target=self._listen, args=(connection,), daemon=True).start()

    def _listen(self, connection: socket.socket) -> None:
        with connection, connection.makefile() as lines:
            for line in lines:
                ((verb, what),) = json.loads(line).items()
                with self._heard:
                    if verb == "announce":
                        self.members[what["key"]] = json.loads(what["value"])
                    elif verb == "withdraw":
                        self.members.pop(what, None)
                    else:
                        self.alive += what
                    self._heard.notify_all()

    def wait_for(self, keys: set[str], within: float = WITHIN) -> bool:
        """Until all of these are announced."""
        with self._heard:
            return self._heard.wait_for(lambda: keys <= set(self.members), within)

    def wait_alive(self, key: str, within: float = WITHIN) -> bool:
        """Until this one was seen alive once more."""
        with self._heard:
            self.alive.clear()
            return self._heard.wait_for(lambda: key in self.alive, within)


@dataclass
class ContainersLab:
    """A home with an engine and no receiver, on one runtime."""

    root: Path
    runtime: Runtime
    stacks: dict[str, Stack]
    host_network: bool = False
    runs: int = 0
    images: dict[str, str] = field(default_factory=dict)
    handles: list[Handle] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.home = self.root / "home"
        self.home.mkdir(parents=True)
        self.announcements = Announcements(self.home)
        pids, machine = 512, Machine.here()
        self.engine = ContainersEngine(self.home, machine, self.runtime, pids, self.host_network)

    def image(self, stack: str, *sources: Path) -> str:
        """The stack's run image with each source compiled in /app."""
        name = f"localhost/nap_test_{stack}_{self.root.name}:{len(self.images)}"
        key = f"{stack} {sources}"
        if key not in self.images:
            tree = self.root / f"tree{len(self.images)}"
            tree.mkdir()
            for source in sources:
                self._compile(tree, stack, source)
            (tree / "Dockerfile").write_text(
                f"FROM {self.stacks[stack].run_image}\nCOPY --chown={self.runtime.uid} . /app/\n"
            )
            self.runtime.ask("build", "--tag", name, str(tree), seconds=300)
            self.images[key] = name
        return self.images[key]

    def _compile(self, tree: Path, stack: str, source: Path) -> None:
        (tree / source.name).write_bytes(source.read_bytes())
        command = ("mpicc", "-O2", f"/app/{source.name}", "-o", f"/app/{source.stem}")
        image = self.stacks[stack].build_image
        self.runtime.ask("run", "--rm", "--volume", f"{tree}:/app", image, *command, seconds=300)

    def job(self, image: str, app: str = "lab") -> Job:
        self.runs += 1
        return Job(
            app=app, run=self.runs, release=1, prefix=self.prefix, image=image, tree=self.home,
            stack="openmpi", env=(("LANG", "C.UTF-8"),),
        )  # fmt: skip

    @property
    def prefix(self) -> str:
        return "t" + self.root.name.replace("_", "-")[-12:]

    def mpi_job(
        self, image: str, ranks: tuple[int, ...], *program: str, flavour: str = "openmpi5", script: str = ""
    ) -> Job:
        job = self.job(image)
        member = '{"ip": "", "port": 0, "slots": 1, "node": "here", "release": 1, "run": 1}'
        keyed = tuple(
            replace(slave, key=f"/run{job.run}/{slave.name}", member=member)
            for slave in names.slaves(job.app, job.run, ranks)
        )
        run = ("sh", "-ec", script) if script else ()
        return replace(job, slaves=keyed, mpi=Mpi(flavour, sum(ranks), () if script else program, run))

    def process_job(self, image: str, command: str, port: int | None = None) -> Job:
        job = replace(self.job(image), service=port is not None)
        member = '{"ip": "127.0.0.1", "port": 0, "slots": 1, "node": "here", "release": 1, "run": 1}'
        process = Process("web", ("sh", "-c", command), port, f"/run{job.run}/web", member)
        return replace(job, processes=(process,))

    def submit(self, job: Job) -> Handle:
        self.handles.append(Handle(self.home / "runs" / job.app / str(job.run)))
        return self.engine.submit(job, self.handles[-1].folder)

    def begin(self, job: Job) -> Handle:
        """Submitted, and its master started once all slaves were announced."""
        handle = self.submit(job)
        keys = {slave.key for slave in job.slaves} | {process.key for process in job.processes}
        assert self.announcements.wait_for(keys), handle.log.read_text()
        if job.mpi:
            hosts = launching.hostfile(job.mpi, job.slaves)
            self.engine.start_master(handle, {"hostfile": hosts})
        return handle

    def finish(self, handle: Handle, within: float = WITHIN) -> Ended:
        return finished(self.engine, handle, within)

    def run(self, job: Job, within: float = WITHIN) -> Ended:
        return self.finish(self.begin(job), within)

    def left(self) -> list[str]:
        """The containers and networks of this lab that are there once it has cleaned up after its runs."""
        for handle in self.handles:
            self.engine.clean_up(handle)
        self.handles.clear()
        mine = ("--filter", f"label=nap.home={self.home}")
        networks = self.runtime.ask("network", "ls", "--format", "{{.Name}}", *mine).split()
        return container.labelled(self.runtime, home=str(self.home)) + networks

    def slave(self, job: Job, index: int) -> str:
        return names.slave_container(job, index)


def a_lab(root: Path, runtime: Runtime, stacks: SharedStacks, host_network: bool = False) -> ContainersLab:
    """With both MPIs."""
    return ContainersLab(root, runtime, {name: stacks.of(runtime, name) for name in FLAVOURS}, host_network)
