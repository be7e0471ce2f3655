"""Whom the receiver takes for a node: who shows the host key on record, and nobody else."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest

from units.errors import UnitError
from units.nodes.link import Link
from units.nodes.node import Login


class Sshd(paramiko.ServerInterface):
    """Takes anybody for whoever they say they are, and notes that they came so far."""

    def __init__(self, *keys: paramiko.PKey) -> None:
        self._keys = keys
        self.asked: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                transport = paramiko.Transport(self._listener.accept()[0])
            except OSError:
                return
            for key in self._keys:
                transport.add_server_key(key)
            transport.start_server(server=self, event=threading.Event())

    def close(self) -> None:
        self._listener.close()

    def get_allowed_auths(self, username: str) -> str:
        self.asked.append(username)
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self.asked.append(username)
        return paramiko.AUTH_SUCCESSFUL


OURS, OTHERS = paramiko.ECDSAKey.generate(bits=256), paramiko.ECDSAKey.generate(bits=256)
OF_ANOTHER_KIND = paramiko.ECDSAKey.generate(bits=384)


@pytest.fixture
def sshd(request: pytest.FixtureRequest) -> Iterator[Sshd]:
    made = Sshd(*request.param)
    yield made
    made.close()


def link(sshd: Sshd, folder: Path) -> Link:
    identity = folder / "id"
    paramiko.ECDSAKey.generate(bits=256).write_private_key_file(str(identity))
    return Link(Login("ops", "127.0.0.1", sshd.port, f"{OURS.get_name()} {OURS.get_base64()}"), identity)


@pytest.mark.parametrize("sshd", [[OTHERS], [OF_ANOTHER_KIND], [OTHERS, OF_ANOTHER_KIND]], indirect=True)
def test_who_shows_another_host_key_is_told_nothing(sshd: Sshd, tmp_path: Path) -> None:
    with pytest.raises(UnitError, match=r"shows another host key|not found in known_hosts"):
        link(sshd, tmp_path).ask(["true"])
    assert sshd.asked == []


@pytest.mark.parametrize("sshd", [[OURS]], indirect=True)
def test_who_shows_the_one_on_record_is_spoken_to(sshd: Sshd, tmp_path: Path) -> None:
    with pytest.raises(UnitError):
        link(sshd, tmp_path).ask(["true"], within=1)
    assert "ops" in sshd.asked
