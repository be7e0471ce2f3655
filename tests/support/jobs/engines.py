"""Jobs for this machine, and its engines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from units import names
from units.capsule.kinds import Namespaces
from units.containers.engine import ContainersEngine
from units.engine import Engine
from units.job import Job, Mpi, Process
from units.launching import Machine
from units.local.engine import LocalEngine
from units.oci.runtime import Runtime

HOME, MACHINE = Path("/home/me/.nap"), Machine(2, False, ("eth0",), "eth0")
ENGINE = LocalEngine(HOME, MACHINE, Namespaces())
PODMAN = Runtime("podman", "/usr/bin/podman", rootless=True, uid=1000)
DOCKER = Runtime("docker", "/usr/bin/docker", rootless=False, uid=1000)
ENGINES: dict[str, Engine] = {
    "local": ENGINE,
    "containers": ContainersEngine(HOME, MACHINE, DOCKER, pids=512),
    "containers-rootless": ContainersEngine(HOME, MACHINE, PODMAN, pids=512),
    "containers-host": ContainersEngine(HOME, MACHINE, DOCKER, pids=512, host_network=True),
}
ENV = (("PATH", "/usr/bin"), ("LANG", "C.UTF-8"))
JOB = Job(
    app="hello", run=3, release=7, prefix="", image="sha256:0", tree=Path("/tree"), stack="openmpi", env=ENV
)  # fmt: skip
SLAVES = tuple(
    replace(slave, key=f"/services/mpi/hello/slaves/slave{slave.index}", member='{"ip": "127.64.0.1"}')
    for slave in names.slaves("hello", 3, (2, 1))
)
LIMITED = tuple(replace(slave, cpus=4, memory=64 << 20) for slave in SLAVES)
JOBS = {
    "mpi": replace(JOB, slaves=SLAVES, mpi=Mpi("openmpi5", 3, ("./hello", 'a "b" ü', "$NAP_SHARE/x"))),
    "mpich": replace(JOB, slaves=SLAVES, mpi=Mpi("mpich", 3, script=("sh", "-ec", "mpirun ./a\nmpirun ./b"))),
    "limited": replace(JOB, slaves=LIMITED, mpi=Mpi("openmpi4", 3, ("./hello",), env=(("SECRET", "a b"),))),
    "own-image": replace(
        JOB,
        stack="dockerfile",
        service=True,
        workdir="/srv",
        processes=(Process("web", (), 5001, "/services/web/hello/x", '{"port": 5001}'),),
    ),
    "profile": replace(
        JOB,
        service=True,
        processes=(
            Process("web", ("sh", "-c", "exec ./serve"), 5001, "/services/web/hello/x", '{"port": 5001}'),
            Process("worker", ("sh", "-c", "exec ./work")),
        ),
    ),
}
