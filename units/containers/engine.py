"""The daemon's side of the containers engine: submits jobs to the machine's container runtime."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nap_start import BARE
from units import names
from units.containers import cleanup, results, unit_files
from units.errors import UnitError
from units.job import Handle, Job, Outcome, Pairs, UnitFile
from units.launching import Machine
from units.oci import container, ssh_access
from units.oci.options import HOSTFILE, Conditions, Place, is_own_image
from units.oci.runtime import Runtime
from units.supervisor import files, processes
from units.supervisor.engine import Runs

_HERE = Path(__file__).parent
_BY_DIGEST = "@sha256:"
_CLEANINGS, _CLIENT_WITHIN = 3, 10.0
# Exists only on a machine that uses cgroups v2 alone.
_UNIFIED = Path("/sys/fs/cgroup/cgroup.controllers")


class ContainersEngine(Runs):
    """Slaves and master as containers of this machine, on a network of their app's own.

    `pids` limits the processes of a container. With `host_network` all containers use the machine's network.
    """

    name = "containers"
    where = "place"
    hostfile = HOSTFILE
    runs_images = True

    def __init__(
        self, home: Path, machine: Machine, runtime: Runtime, pids: int = 4096, host_network: bool = False
    ) -> None:
        super().__init__()
        self._home = home
        self._runtime = runtime
        self._images: dict[str, tuple[Pairs, str]] = {}
        self._at = Conditions(
            home=str(home), machine=machine, uid=runtime.uid, pids=pids,
            forwarded=runtime.rootless, host_network=host_network,
        )  # fmt: skip

    def units(self, job: Job) -> tuple[UnitFile, ...]:
        return unit_files.render_all(job, Place(Path("{run}")), self._at)

    def note(self, job: Job) -> str:
        limited = any(slave.memory or slave.cpus for slave in job.slaves)
        if limited and self._runtime.rootless and not _UNIFIED.exists():
            return "memory and cores are not limited: Podman without root needs this machine's cgroups v2"
        if not (self._runtime.isolates or self._at.host_network):
            return "apps reach each other's containers: this machine's Podman has no netavark to prevent it"
        return ""

    def submit(self, job: Job, folder: Path) -> Handle:
        handle = Handle(folder)
        ports = self._ports(job)
        env, user = self._image_says(job.image)
        self._sweep(folder)
        place = Place(folder, env, ports, user)
        units = unit_files.render_all(job, place, self._at)
        files.make(folder, units, json.dumps(self._spec(job, ports)), {})
        self._hand_out(job, folder, units, ports)
        self.start_runner(handle, (*BARE, str(_HERE / "runner.py"), str(folder)))
        return handle

    def _image_says(self, image: str) -> tuple[Pairs, str]:
        """Return an image's variables and user. They are cached for an image that is named by digest."""
        if image not in self._images:
            said = container.image_says(self._runtime, image)
            if _BY_DIGEST not in image:
                return said
            self._images[image] = said
        return self._images[image]

    def _spec(self, job: Job, ports: dict[str, int]) -> dict[str, Any]:
        """Return what the runner needs beyond the units."""
        runtime = {**asdict(self._runtime), "logins": None}
        return {
            "runtime": runtime,
            "home": str(self._home),
            "app": job.app,
            "run": job.run,
            "network": "" if self._at.host_network else names.network(job),
            "ports": ports,
            "port": next((process.port for process in job.processes if process.port), None),
            "memory": {slave.name: slave.memory for slave in job.slaves if slave.memory},
            "service": job.service,
            "timeout": job.timeout,
            "workdir": job.workdir,
            "own_image": is_own_image(job),
            "tree": "/nonexistent",
            "results": job.results,
            "labels": {names.slave_container(job, one.index): f"slave{one.index}" for one in job.slaves},
        }

    def _sweep(self, folder: Path) -> None:
        """Remove what earlier runs of the app have in the runtime: this run uses the same names.

        Live runners do that themselves and are waited for. What a killed runner left, even of this very run,
        is removed here.
        """
        for files_of in folder.parent.glob("*/files"):
            handle = Handle(files_of.parent)
            if not self.running(handle):
                self.remove(handle)

    def _ports(self, job: Job) -> dict[str, int]:
        """Return each slave's sshd port: one for all on the app's network, a free one on the machine's."""
        if not self._at.host_network:
            return {slave.name: ssh_access.SSH_PORT for slave in job.slaves}
        with ExitStack() as held:
            sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in job.slaves]
            return {slave.name: one.getsockname()[1] for slave, one in zip(job.slaves, sockets, strict=True)}

    def _hand_out(self, job: Job, folder: Path, units: tuple[UnitFile, ...], ports: dict[str, int]) -> None:
        """Write the files that the containers mount: keys, settings and environments."""
        contents = {"passwd": ssh_access.passwd(self._at.uid), "group": ssh_access.group(self._at.uid)}
        if job.mpi:
            at = "127.0.0.1" if self._at.host_network else ""
            slaves = [(slave.name, at, ports[slave.name]) for slave in job.slaves]
            contents |= ssh_access.files(slaves, forgiving=job.mpi.is_mpich)
        for unit in map(json.loads, (unit.content for unit in units)):
            if "env" in unit:
                form = ssh_access.listed if is_own_image(job) else ssh_access.environment
                contents[f"{unit['files']}/environment"] = form(tuple(unit["env"].items()))
        written = (Handle(folder).output, folder / files.DAEMONS)
        for path in written:
            path.touch()
            path.chmod(0o666)  # the containers' user and the runner write; the run's folder shuts others out
        secrets = ssh_access.write(folder / "files", contents)
        (folder / "share").chmod(0o700)
        self._runtime.give(*secrets, folder / "share", *written)

    def numbers(self, handle: Handle, units: Sequence[dict[str, Any]]) -> dict[str, int]:
        """Return the units' PIDs by name. While the run lives, look up the containers of unrecorded units.

        The master's is not recorded: an inspect at its start would delay a short program.
        """
        written = super().numbers(handle, units)
        unseen = [unit for unit in units if unit["name"] not in written] if self.running(handle) else []
        looks = ((unit["name"], container.look(self._runtime, unit["place"])) for unit in unseen)
        return {**written, **{name: seen.pid for name, seen in looks if seen}}

    def answers(self, handle: Handle, _port: int) -> bool:
        return (handle.folder / "answers").exists()

    def stop(self, handle: Handle, outcome: Outcome) -> None:
        """End the run. Containers of a runner that was killed run on, so they are removed here."""
        super().stop(handle, outcome)
        if self.runner(handle) is None:
            self.remove_what_is_left(handle)

    def remove_what_is_left(self, handle: Handle) -> None:
        """Remove the run's containers and network after its runner was killed.

        Retry while clients that the runner had started live: they can still create containers.
        """
        record = handle.folder / "run.json"
        if not record.exists() or cleanup.were_removed(handle.folder):
            return
        spec = json.loads(record.read_text())
        for _ in range(_CLEANINGS):
            container.remove(self._runtime, *cleanup.of_run(self._runtime, spec))
            clients = _clients(handle)
            for pid in clients:
                processes.wait(pid, _CLIENT_WITHIN)
            if not clients:
                break
        cleanup.remove(self._runtime, handle.folder, spec, ())
        cleanup.note_removed(handle.folder)

    def results(self, handle: Handle) -> tuple[Path, ...]:
        """Keep the results. Raise UnitError when a run that ended with 0 lacks some of them."""
        kept = super().results(handle)
        if not self.outcome(handle).exit_code and (lacking := results.lacking(handle.folder)):
            raise UnitError(lacking)
        return kept


def _clients(handle: Handle) -> list[int]:
    """Return the PIDs of the runner's session: clients still at work. A run can have had no runner."""
    try:
        runner = (handle.folder / "pid").read_text().partition(" ")[0]
    except FileNotFoundError:
        return []
    return processes.of_session(int(runner))
