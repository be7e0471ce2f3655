"""Jobs on two nodes, and their units."""

from __future__ import annotations

from dataclasses import replace

from units import names
from units.job import Job, Mpi, Process, UnitFile
from units.nodes.node import Login, Node
from units.systemd import process_units, unit_files
from units.systemd.unit_files import Site

ODD = (
    'q"uo', "si'ngle", "a  b", " ", "", "100%", "%i", "%%", "$HOME", "${HOME}", "$$", "back\\slash", "\\",
    "\\x41", "two\nlines", "tab\there", "\r", "\x01\x1f\x7f", ";", "#", "-", "@", "ü😀\u2028", "--=[X]",
)  # fmt: skip
LOGIN = Login("ops", "node1", 22, "ssh-ed25519 A")
ONE = Node(
    "node1", LOGIN, "10.0.0.11", "eth0", "10.0.0.0/24", slots=4, memory=8 << 30, cores=4, arch="amd64",
    runtime="/usr/bin/podman", kind="podman",
)  # fmt: skip
TWO = replace(ONE, name="node2", address="10.0.0.12", runtime="/usr/bin/docker", kind="docker")
SITE = Site("/home/me/.nap", "", 1000, 512)
JOB = Job(
    app="hello", run=3, release=7, prefix="", image=f"receiver:5000/hello_image@sha256:{'0' * 64}",
    tree=None, stack="openmpi",
)  # fmt: skip
PLACES = ((ONE, 22000), (TWO, 22000), (ONE, 22001))
SLAVES = tuple(
    replace(slave, node=node.name, address=node.address, port=port)
    for slave, (node, port) in zip(names.slaves("hello", 3, (2, 1, 1)), PLACES, strict=True)
)
LIMITED = tuple(replace(slave, cpus=2 * slave.slots, memory=64 << 20) for slave in SLAVES)
JOBS = {
    "two-nodes": replace(JOB, slaves=SLAVES, mpi=Mpi("openmpi5", 4, ("./hello", *ODD))),
    "limited": replace(
        JOB,
        prefix="c0ffee",
        slaves=LIMITED,
        mpi=Mpi("mpich", 4, script=("sh", "-ec", "mpirun ./a\nmpirun ./b")),
        timeout=90,
    ),
    "one": replace(JOB, slaves=SLAVES[:1], mpi=Mpi("openmpi4", 2, ("./hello",), env=(("SECRET", "a b"),))),
}


WEB = Process("web", ("sh", "-c", "exec ./serve"), 5001, address="10.0.0.11", node="node1", inner=22000)
WORKER = Process("worker", ("./work", *ODD), address="10.0.0.12", node="node2", inner=22001)
OF_PROCESSES = {
    "service": replace(JOB, stack="plain", service=True, processes=(WEB, WORKER)),
    "own-image": replace(JOB, stack="dockerfile", service=True, processes=(replace(WEB, argv=()),)),
    "profile": replace(JOB, stack="plain", processes=(WORKER,), timeout=90),
}
ALL = JOBS | OF_PROCESSES


def units(job: Job, runtime: str = "") -> tuple[UnitFile, ...]:
    """`runtime` is the one of all nodes, in the place of their own."""
    nodes = [replace(node, runtime=runtime or node.runtime) for node in (ONE, TWO)]
    render = unit_files.render_all if job.mpi else process_units.render_all
    return render(job, nodes, replace(SITE, prefix=job.prefix))
