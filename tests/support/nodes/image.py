"""The image that the lab's nodes boot from: Debian with systemd, sshd and a container runtime."""

from __future__ import annotations

import fcntl
import hashlib
import platform
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KINDS = ("podman", "docker")
_INPUTS = Path(__file__).parent / "image_files"
_SUITE = "bookworm"
_WITHIN = 600
_HOOKS = (
    "sync-in root /",
    'chroot "$1" useradd --create-home --shell /bin/bash ops',
    # Whatever the working copy's owner and modes are.
    'chown -R root:root "$1/etc/sudoers.d" "$1/etc/ssh" "$1/etc/containers"',
    'chmod 0755 "$1" && chmod -R go-w "$1/etc"',
    'chmod 0440 "$1/etc/sudoers.d/ops"',
    # Each node has its own.
    'rm -f "$1"/etc/ssh/ssh_host_* && : >"$1/etc/machine-id"',
)


def image(kind: str = "podman") -> str:
    """Its name. It is made when this machine has none of the same inputs, which takes half a minute."""
    name = f"localhost/nap_lab_node_{kind}:{_digest(kind)}"
    with _alone():
        if not _is_there(name):
            _make(kind, name)
            _forget_others(name)
    return name


def _is_there(name: str) -> bool:
    return subprocess.run(["podman", "image", "exists", name], check=False, timeout=60).returncode == 0


def _make(kind: str, name: str) -> None:
    with tempfile.TemporaryDirectory(prefix="nap-node-") as folder:
        archive = str(Path(folder) / "node.tar")
        for argv in (
            ["mmdebstrap", "--quiet", *_options(kind), _SUITE, archive],
            ["podman", "import", "--quiet", archive, name],
        ):
            done = subprocess.run(
                argv, cwd=_INPUTS, capture_output=True, text=True, timeout=_WITHIN, check=False
            )
            assert done.returncode == 0, f"{argv[0]}: {done.stderr[-2000:]}"


def _forget_others(name: str) -> None:
    """Remove what older inputs gave; an image that a lab still runs stays."""
    repository = name.rpartition(":")[0]
    listed = ["podman", "images", "--format", "{{.Repository}}:{{.Tag}}", repository]
    names = subprocess.run(listed, capture_output=True, text=True, timeout=60, check=True).stdout.split()
    for other in set(names) - {name}:
        subprocess.run(["podman", "rmi", other], capture_output=True, timeout=60, check=False)


def _options(kind: str) -> tuple[str, ...]:
    packages = ",".join((*_lines("packages"), *_lines(f"packages.{kind}")))
    return (
        "--variant=apt", f"--include={packages}",
        # The merged /usr without the package that merges it, which brings perl along.
        "--hook-dir=/usr/share/mmdebstrap/hooks/maybe-merged-usr",
        "--aptopt=APT::Install-Recommends false",
        "--aptopt=Acquire::Languages none",
        "--aptopt=Acquire::Retries 3",
        *(f"--dpkgopt={option}" for option in _lines("dpkg.cfg")),
        *(f"--customize-hook={hook}" for hook in _HOOKS),
        f'--customize-hook=chroot "$1" systemctl --quiet mask {" ".join(_lines("masked"))}',
    )  # fmt: skip


def _lines(name: str) -> list[str]:
    lines = (_INPUTS / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _digest(kind: str) -> str:
    """Other inputs, another image."""
    found = hashlib.sha256(repr((_options(kind), _SUITE, platform.machine())).encode())
    root = _INPUTS / "root"
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        found.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return found.hexdigest()[:16]


@contextmanager
def _alone() -> Iterator[None]:
    """No two sessions make an image at once."""
    with (Path(tempfile.gettempdir()) / "nap-lab-node.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
