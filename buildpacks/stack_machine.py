"""The MPI a machine has itself: on PATH, under its plain names or as Debian's alternatives."""

import os
import re
from functools import partial
from pathlib import Path

from buildpacks import probe
from buildpacks.stack import Stack

_TITLES = {"openmpi": "Open MPI", "mpich": "MPICH"}
_VERSIONS = {
    "openmpi": re.compile(r"\(Open MPI\) (\d+)(\S*)"),
    "mpich": re.compile(r"HYDRA.*?Version:\s+(\d+)(\S*)", re.DOTALL),
}
_LIBRARIES = {
    "openmpi": ("libmpi.so.40",),
    "mpich": ("libmpi.so.12", "libmpich.so.12"),
}
# What programs, builds and the MPI's own launcher call by its plain name.
_TOOLS = (
    "mpicc", "mpicxx", "mpic++", "mpiCC", "mpifort", "mpif77", "mpif90", "mpirun", "mpiexec",
    "ompi_info", "orted", "orterun", "prte", "prted", "prterun",
    "hydra_pmi_proxy", "mpiexec.hydra", "mpichversion",
)  # fmt: skip


def find(name: str, folder: Path) -> Stack | None:
    """The machine's own MPI of this kind; links under `folder` give its tools their plain names."""
    for suffix in ("", f".{name}"):
        tools = probe.which(f"mpicc{suffix}", f"mpirun{suffix}")
        if len(tools) == 2:
            mpicc, mpirun = tools.values()
            memory = folder / f".probe-{name}{suffix or '.plain'}.json"
            answer = probe.remembered(memory, tools, partial(_ask, name, mpicc, mpirun))
            if answer:
                return _stack(name, suffix, mpicc, mpirun, answer, folder)
    return None


def _ask(name: str, mpicc: Path, mpirun: Path) -> probe.Answer:
    """Version and library, or nothing when one of the two tools belongs to another MPI."""
    version = _VERSIONS[name].search(probe.output([str(mpirun), "--version"]))
    says_open_mpi = "Open MPI" in probe.output([str(mpicc), "--showme:version"])
    if version is None or says_open_mpi != (name == "openmpi"):
        return {}
    line = probe.output([str(mpicc), "-show"])
    return {"major": version[1], "version": version[1] + version[2], "libmpi": _library(name, line)}


def _library(name: str, line: str) -> str:
    """The library a compile line links to; its bare name where only the loader knows the folder."""
    for folder in re.findall(r"-L(\S+)", line):
        for library in _LIBRARIES[name]:
            if (Path(folder) / library).exists():
                return str(Path(folder) / library)
    return _LIBRARIES[name][-1]


def _stack(name: str, suffix: str, mpicc: Path, mpirun: Path, answer: probe.Answer, folder: Path) -> Stack:
    version = answer["version"]
    flavour = "mpich" if name == "mpich" else f"openmpi{'5' if int(answer['major']) >= 5 else '4'}"
    return Stack(
        name=name,
        title=f"{_TITLES[name]} {version}",
        flavour=flavour,
        origin="machine",
        bin=_links(folder.absolute() / f"machine-{name}", suffix, mpirun),
        env=(("MPI4PY_LIBMPI", answer["libmpi"]),),
        key=f"{name}-{version} machine {probe.identity(mpicc)}",
        libmpi=answer["libmpi"],
    )


def _links(folder: Path, suffix: str, mpirun: Path) -> Path:
    """Only the MPI's own tools come first on PATH, not the whole folder they are in."""
    folder.mkdir(parents=True, exist_ok=True)
    for tool in _TOOLS:
        target = mpirun.parent / f"{tool}{suffix}"
        if not target.exists():
            target = mpirun.resolve().parent / tool
        _link(folder / tool, target if target.exists() else None)
    return folder


def _link(link: Path, target: Path | None) -> None:
    current = link.readlink() if link.is_symlink() else None
    if current == target:
        return
    if target is None:
        link.unlink(missing_ok=True)
        return
    new = link.with_name(f".{link.name}-{os.getpid()}")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(link)
