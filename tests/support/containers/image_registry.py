"""A real registry of images for tests, with a login, TLS or neither; and what can be put into it."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer

import requests

from registry import certificates
from registry.etcd.endpoint import Secret
from registry.images.address import ImageRegistry
from registry.images.program import binary
from registry.images.server import stored
from registry.processes import Detached

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@dataclass
class LabRegistry:
    """One `docker-registry`. `login` is a user and a password, () for none."""

    folder: Path
    login: tuple[str, ...] = ()
    tls: bool = False
    port: int = field(default_factory=free_port)

    @property
    def ca(self) -> Path:
        return self.folder / "tls" / "ca.crt"

    @property
    def registry(self) -> ImageRegistry:
        """How it is spoken to by who knows all of it."""
        user, password = self.login or ("", "")
        ca = str(self.ca) if self.tls else ""
        return ImageRegistry(
            f"127.0.0.1:{self.port}", ca=ca, insecure=not self.tls, user=user, password=Secret(password)
        )

    def start(self) -> ImageRegistry:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "config.yml").write_text(json.dumps(self._settings()))
        with self._process().closed_door() as lock:
            assert lock.take()
            argv = [binary(), "serve", str(self.folder / "config.yml")]
            self._process().launch(argv, dict(os.environ), lock, self._listens)
        return self.registry

    def stop(self) -> None:
        self._process().stop()

    def stored(self) -> int:
        """The bytes of all that was pushed."""
        return stored(self.folder)

    def _process(self) -> Detached:
        return Detached("registry", self.folder / "lock", self.folder / "log")

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _settings(self) -> dict[str, object]:
        http: dict[str, object] = {"addr": f"127.0.0.1:{self.port}"}
        settings: dict[str, object] = {
            "version": "0.1",
            "storage": {
                "filesystem": {"rootdirectory": str(self.folder / "data")},
                "delete": {"enabled": True},
            },
            "http": http,
        }
        if self.tls:
            files = certificates.ensure(self.folder / "tls")
            http["tls"] = {"certificate": str(files.cert("server")), "key": str(files.key("server"))}
        if self.login:
            settings["auth"] = {"htpasswd": {"realm": "lab", "path": str(self._htpasswd())}}
        return settings

    def _htpasswd(self) -> Path:
        import bcrypt

        user, password = self.login
        file = self.folder / "htpasswd"
        file.write_bytes(user.encode() + b":" + bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)))
        return file


def put_image(registry: ImageRegistry, repository: str, *tags: str) -> str:
    """The least that is an image, by plain HTTP: its digest."""
    base = f"http://{registry.host}/v2/{registry.repository(repository)}"
    login = (registry.user, registry.password.value) if registry.user else None
    config = json.dumps({"architecture": "amd64", "os": "linux", "made": os.urandom(4).hex()}).encode()
    begun = requests.post(f"{base}/blobs/uploads/", auth=login, timeout=10)
    place = f"{begun.headers['Location']}&digest={_digest(config)}"
    requests.put(place, data=config, auth=login, timeout=10).raise_for_status()
    manifest = json.dumps({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "size": len(config),
            "digest": _digest(config),
        },
        "layers": [],
    })  # fmt: skip
    kind = {"Content-Type": MANIFEST}
    for tag in tags:
        place = f"{base}/manifests/{tag}"
        requests.put(place, data=manifest, headers=kind, auth=login, timeout=10).raise_for_status()
    return _digest(manifest.encode())


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def with_password(registry: ImageRegistry, password: str) -> ImageRegistry:
    return replace(registry, password=Secret(password))


@contextmanager
def cut_after(registry: ImageRegistry, limit: int, cut: Callable[[], None]) -> Iterator[ImageRegistry]:
    """The same registry by another port; once `limit` bytes were sent through it, `cut` is called."""
    lock, sent = threading.Lock(), [0]
    host, _, port = registry.host.rpartition(":")

    class Passage(BaseRequestHandler):
        def handle(self) -> None:
            try:
                beyond = socket.create_connection((host, int(port)))
            except OSError:
                return
            with beyond:
                threading.Thread(target=pass_on, args=(beyond, self.request, None), daemon=True).start()
                pass_on(self.request, beyond, count)

    def count(size: int) -> None:
        with lock:
            before, sent[0] = sent[0], sent[0] + size
            if before <= limit < sent[0]:
                cut()

    def pass_on(source: socket.socket, target: socket.socket, counted: Callable[[int], None] | None) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
                if counted:
                    counted(len(data))
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    with ThreadingTCPServer(("127.0.0.1", 0), Passage) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield replace(registry, host=f"{host}:{server.server_address[1]}")
        server.shutdown()
