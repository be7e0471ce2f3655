"""The machine's own MPI on PATH, under plain tool names or Debian's suffixed ones (`mpicc.mpich`)."""

import os
import re
import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from buildpacks.stacks import probe
from buildpacks.stacks.stack import Stack

_TITLES = {"openmpi": "Open MPI", "mpich": "MPICH"}
_VERSIONS = {
    "openmpi": re.compile(r"\(Open MPI\) (\d+)(\S*)"),
    "mpich": re.compile(r"HYDRA.*?Version:\s+(\d+)(\S*)", re.DOTALL),
}
_LIBRARIES = {
    "openmpi": ("libmpi.so.40",),
    "mpich": ("libmpi.so.12", "libmpich.so.12"),
}
# Programs and builds call _TOOLS by their plain names, the MPI's own launcher calls _OWN_TOOLS.
_TOOLS = (
    "mpicc", "mpicxx", "mpic++", "mpiCC", "mpifort", "mpif77", "mpif90", "mpirun", "mpiexec",
)  # fmt: skip
_OWN_TOOLS = {
    "openmpi": ("ompi_info", "orted", "orterun", "prte", "prted", "prterun"),
    "mpich": ("hydra_pmi_proxy", "mpiexec.hydra", "mpichversion"),
}


def find(name: str, folder: Path) -> Stack | None:
    """Return the machine's `openmpi` or `mpich`, or None. Links under `folder` give its tools plain names."""
    for suffix in ("", f".{name}"):
        tools = probe.which(f"mpicc{suffix}", f"mpirun{suffix}")
        if len(tools) == 2:
            mpicc, mpirun = tools.values()
            memory = folder / f".probe-{name}{suffix or '.plain'}.json"
            answer = probe.remembered(memory, tools, partial(_ask, name, mpicc, mpirun))
            if answer:
                return _stack(name, suffix, mpicc, mpirun, answer, folder)
    return None


def identify(name: str, told: str) -> tuple[str, str] | None:
    """Return title and flavour from an `mpirun --version` output; None when that is not the MPI `name`."""
    version = _VERSIONS[name].search(told)
    return (_title(name, version[1] + version[2]), _flavour(name, version[1])) if version else None


def _title(name: str, version: str) -> str:
    return f"{_TITLES[name]} {version}"


def _flavour(name: str, major: str) -> str:
    return "mpich" if name == "mpich" else f"openmpi{'5' if int(major) >= 5 else '4'}"


def _ask(name: str, mpicc: Path, mpirun: Path) -> probe.Answer:
    """Return version and library; empty when one of the two tools belongs to another MPI."""
    version = _VERSIONS[name].search(probe.output([str(mpirun), "--version"]))
    says_open_mpi = "Open MPI" in probe.output([str(mpicc), "--showme:version"])
    if version is None or says_open_mpi != (name == "openmpi"):
        return {}
    line = probe.output([str(mpicc), "-show"])
    return {"major": version[1], "version": version[1] + version[2], "libmpi": _library(name, line)}


def _library(name: str, line: str) -> str:
    """Return the library a compile line links to, as a bare name when only the loader knows its folder."""
    for folder in map(Path, re.findall(r"-L(\S+)", line)):
        # Debian links its development files into a folder of their own, away from the library.
        for place in (folder, (folder / "libmpi.so").resolve().parent):
            for library in _LIBRARIES[name]:
                if (place / library).exists():
                    return str(place / library)
    return _LIBRARIES[name][-1]


def _stack(name: str, suffix: str, mpicc: Path, mpirun: Path, answer: probe.Answer, folder: Path) -> Stack:
    version = answer["version"]
    prefix = folder.absolute() / f"machine-{name}"
    tools = {tool: mpirun.with_name(f"{tool}{suffix}") for tool in _TOOLS}
    tools |= {tool: mpirun.resolve().with_name(tool) for tool in _OWN_TOOLS[name]}
    return Stack(
        name=name,
        title=_title(name, version),
        flavour=_flavour(name, answer["major"]),
        origin="machine",
        bin=_links(prefix / "bin", tools),
        env=_environment(answer["libmpi"], prefix / "lib", _LIBRARIES[name][0]),
        key=f"{name}-{version} machine {probe.identity(mpicc)}",
        libmpi=answer["libmpi"],
    )


def _environment(libmpi: str, folder: Path, standard: str) -> tuple[tuple[str, str], ...]:
    """Point mpi4py at the library, through a link with the ABI's name where Debian's name differs."""
    told = ("MPI4PY_LIBMPI", libmpi)
    if not Path(libmpi).is_absolute() or Path(libmpi).name == standard:
        return (told,)
    return (told, ("LD_LIBRARY_PATH", str(_links(folder, {standard: Path(libmpi)}))))


def _links(folder: Path, targets: Mapping[str, Path]) -> Path:
    """Return `folder`, filled with links: on PATH it puts the MPI's tools first, and not their neighbours."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, target in targets.items():
        _link(folder / name, target if target.exists() else None)
    return folder


def _link(link: Path, target: Path | None) -> None:
    current = link.readlink() if link.is_symlink() else None
    if current == target:
        return
    if target is None:
        link.unlink(missing_ok=True)
        return
    # Replaced by a rename, so that builds which use the link at this moment never miss it.
    new = link.with_name(f".{link.name}-{os.getpid()}-{threading.get_ident()}")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(link)
