"""Plans as buildpacks make them, and a stack for them."""

from __future__ import annotations

from buildpacks.mpi_xml.manifest import Manifest
from buildpacks.plan import Plan, Process
from buildpacks.stacks.stack import Stack

RUN = f"registry.lab:5000/nap_openmpi_run@sha256:{'a1' * 32}"
STACK = Stack("openmpi", "Open MPI 5", "openmpi5", "image", build_image="b", run_image=RUN)
MPI = Manifest(source=("hello.c",), to="hello", hosts=4)
PLANS = {
    "mpi": Plan("mpi.xml", "mpi.xml", "openmpi", products=("hello",), manifest=MPI),
    "python": Plan("mpi.xml", "mpi.xml", "openmpi", manifest=MPI, env=(("PYTHONPATH", "{app}/.python"),)),
    "profile": Plan(
        "", "profile", "plain", processes=(Process("worker", "work"), Process("web", 'serve "$PORT"'))
    ),
    "pack": Plan(
        "lua", "", "plain", processes=(Process("app", "lua main.lua"),), pack="lua@1",
        env=(("STACK", "heroku-24"), ("GREETING", 'say "hi" for $5 \\ more')),
    ),
}  # fmt: skip
