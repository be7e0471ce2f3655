"""Who pushed, as far as it is known."""

from __future__ import annotations

import base64
import getpass
import os
from pathlib import Path

import pytest

from receiver.push import pusher

BLOB = base64.b64encode(b"a public key").decode()
ME = getpass.getuser()


@pytest.fixture
def auth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What sshd writes of how somebody came in."""
    monkeypatch.setattr(pusher, "users_home", lambda: tmp_path)
    (tmp_path / ".ssh").mkdir()
    path = tmp_path / "sshauth"
    path.write_text(f"publickey ssh-ed25519 {BLOB}\n")
    return path


def name(**login: str) -> str:
    return pusher.name(os.getuid(), login)


def test_who_pushes_on_this_machine_is_its_user() -> None:
    assert name() == ME
    assert pusher.name(4_000_000, {}) == "4000000"


def test_who_comes_from_elsewhere_is_told_with_the_address() -> None:
    assert name(SSH_CONNECTION="192.0.2.7 50000 192.0.2.1 22") == f"{ME} (from 192.0.2.7)"


def test_a_key_that_is_named_is_told_by_its_name(auth: Path) -> None:
    named = name(NAP_KEY="laptop", SSH_USER_AUTH=str(auth), SSH_CONNECTION="192.0.2.7 1 2 3")
    assert named == f"{ME} (key laptop)"


def test_a_key_is_told_by_its_comment_in_authorized_keys_else_by_its_fingerprint(auth: Path) -> None:
    fingerprint = name(SSH_USER_AUTH=str(auth))
    assert fingerprint.startswith(f"{ME} (key SHA256:")
    (auth.parent / ".ssh" / "authorized_keys").write_text(
        f"# ssh-ed25519 {BLOB} not this\nno-pty ssh-ed25519 {BLOB} ada@laptop\n"
    )
    assert name(SSH_USER_AUTH=str(auth)) == f"{ME} (key ada@laptop)"


def test_what_cannot_be_read_is_passed_over(auth: Path) -> None:
    os.mkfifo(auth.with_name("fifo"))
    for path in ("/nowhere", str(auth.parent), str(auth.with_name("fifo"))):
        assert name(SSH_USER_AUTH=path) == ME
    auth.write_bytes(b"publickey ssh-ed25519 \xff%%\n")
    assert name(SSH_USER_AUTH=str(auth)) == ME


def test_a_name_is_one_short_line_of_text() -> None:
    assert name(NAP_KEY="\x1b[31mred\x07\u202e" + "x" * 500) == f"{ME} (key [31mred{'x' * 93})"
