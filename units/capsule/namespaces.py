"""Linux namespaces, mounts and prctl settings of this process, by calls into libc.

Python has `os.unshare` and `os.setns` only from 3.12 on, and no `mount` at all.
"""

from __future__ import annotations

import contextlib
import ctypes
import os

NEWNS = 0x00020000
NEWUTS = 0x04000000
NEWPID = 0x20000000

_MS_RDONLY = 0x1
_MS_REMOUNT = 0x20
_MS_BIND = 0x1000
_MS_REC = 0x4000
_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522
_MOST_CAPABILITIES = 64

_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl.argtypes = (ctypes.c_int, *(ctypes.c_ulong,) * 4)


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def unshare(flags: int) -> None:
    """Move this process into new namespaces; NEWPID takes effect for its children."""
    _check(_libc.unshare(ctypes.c_int(flags)), "unshare")


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    arguments = (source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode())
    _check(_libc.mount(*arguments), f"mount {kind} on {target}")


def bind(source: str, target: str, read_only: bool = False) -> None:
    """Bind-mount the folder or file `source` at `target`."""
    _mount(source, target, "", _MS_BIND | _MS_REC)
    if read_only:
        close(target)


def close(target: str) -> None:
    """Make the mount at `target` read-only. Other mounts below it stay writable."""
    _mount("none", target, "", _MS_BIND | _MS_REMOUNT | _MS_RDONLY | _locked(target))


def _locked(target: str) -> int:
    """Return the flags that a remount in a user namespace must keep: nosuid, nodev, noexec, (no|rel)atime."""
    present = os.statvfs(target).f_flag
    return present & (os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC | os.ST_NOATIME | os.ST_RELATIME)


def tmpfs(target: str, mode: str = "755") -> None:
    _mount("tmpfs", target, "tmpfs", 0, f"mode={mode}")


def own_proc() -> None:
    """Mount this PID namespace's /proc. If a container masks parts of /proc, the old one stays."""
    with contextlib.suppress(PermissionError):
        _mount("proc", "/proc", "proc", 0)


def overlay(lower: str, upper: str, work: str, target: str) -> None:
    """Mount the files of `lower` at `target`; changes go to `upper`."""
    _mount("overlay", target, "overlay", 0, f"lowerdir={lower},upperdir={upper},workdir={work},userxattr")


def drop_privileges() -> None:
    """Drop all capabilities of this process, so that executed programs have none and gain none.

    The bounding set goes first, while there is still a right to drop it: at an exec the kernel gives root
    all capabilities that are in it.
    """
    for capability in range(_MOST_CAPABILITIES):
        if _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break  # the kernel has no further capabilities, or this process has no right to drop them
    _prctl("drop ambient capabilities", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()
    _check(_libc.capset(header, none), "drop capabilities")
    _prctl("no new privileges", _PR_SET_NO_NEW_PRIVS, 1)


def adopt_orphans() -> None:
    """Make this process the parent of those of its descendants that lose theirs."""
    _prctl("adopt orphans", _PR_SET_CHILD_SUBREAPER, 1)


def end_with_parent(number: int) -> None:
    """Have the kernel send this process the signal `number` when its parent ends."""
    _prctl("end with the parent", _PR_SET_PDEATHSIG, number)


def _prctl(what: str, option: int, argument: int) -> None:
    _check(_libc.prctl(option, argument, 0, 0, 0), what)
