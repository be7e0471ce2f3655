"""What announces a unit from a node, with a shell and curl alone.

On an admin's etcd with TLS and users, and on nap's own through the proxy before it.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer

import pytest
from support import polling
from support.etcd import ADDRESSES, Guarded, Proxied, admins, guarded, proxied, until

from registry import Listing, Secret, Store, open_store
from registry.etcd import server as etcd_server
from registry.node_proxy import proxy as node_proxy
from registry.node_proxy.access import NodeAccess
from units.nodes import announce
from units.nodes.announce import Announcement

__all__ = ["admins", "guarded", "proxied"]
pytestmark = pytest.mark.lab

VALUE = '{"ip":"10.0.0.7","port":2201,"slots":4,"node":"n\'ö%+&1","release":3,"run":7}'
# Seconds: short, where a test waits for a key to expire or to outlive that.
SHORT = {"ttl": 4, "refresh": 0.4, "retry": 0.2}
# No test lives to see a refresh.
LONG = {"ttl": 60, "refresh": 60.0, "retry": 0.2}
PROGRAMS = ("sh", "cat", "grep", "sed", "sleep", "timeout", "true")


@dataclass
class Node:
    """Where announcers of one test run: a folder each, and a PATH with nothing that is not needed."""

    root: Path
    etcd: Guarded | Proxied
    announcement: Announcement
    started: list[subprocess.Popen[str]]

    @property
    def receiver(self) -> Store:
        return open_store(self.etcd.receiver)

    @property
    def access(self) -> NodeAccess:
        return self.etcd.access(self.announcement.key, self.announcement.value)

    @property
    def alive(self) -> Path:
        return self.root / "alive"

    @property
    def folder(self) -> Path:
        return self.root / "discovery"

    def install(self, access: NodeAccess, **pace: float) -> None:
        """Write the files as an engine does."""
        announcement = replace(self.announcement, **pace)
        etcd = announce.Etcd(
            access.url,
            access.api,
            access.ca,
            access.cert,
            access.key.value,
            access.user,
            access.password.value,
        )
        self.folder.mkdir(mode=0o700, exist_ok=True)
        for file in (announce.script(), *announce.folder(announcement, etcd)):
            (self.folder / file.name).touch(mode=0o600)
            (self.folder / file.name).write_text(file.content)

    def run(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            ["/bin/sh", str(self.folder / announce.SCRIPT), str(self.folder)],
            env={"PATH": str(self.root / "bin")},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def start(self, **pace: float) -> subprocess.Popen[str]:
        """Announce, and wait until it stands in etcd."""
        self.install(self.access, **pace)
        process = self.run()
        self.wait(self.stands)
        return process

    def wait(self, holds: Callable[[Listing], bool]) -> Listing:
        return until(self.receiver, self.etcd.keys.announced, holds)

    def stands(self, listing: Listing) -> bool:
        return listing.entries == {self.announcement.key: self.announcement.value}

    def outlive(self, seconds: int) -> None:
        """Until a key of so many seconds has expired that nobody refreshes."""
        other = f"{self.etcd.keys.root}/other/key"
        self.receiver.put(other, "x", seconds)
        until(self.receiver, str(Path(other).parent), lambda listing: not listing.entries)


def is_gone(listing: Listing) -> bool:
    return not listing.entries


@pytest.fixture(params=["admins", "guarded", "proxied"])
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Node]:
    etcd: Guarded | Proxied = request.getfixturevalue(request.param)
    with_tools(tmp_path)
    (tmp_path / "alive").touch()
    key, check = etcd.keys.slave("heat", 1), f"[ -e '{tmp_path}/alive' ]\n"
    made = Node(tmp_path, etcd, Announcement(key, VALUE, check), [])
    yield made
    for process in made.started:
        end(process, signal.SIGKILL)
    left = made.receiver.list(etcd.keys.announced).entries
    made.receiver.remove_all(left)


def with_tools(root: Path) -> None:
    """All that a node has; and a curl that keeps what others on the node could see of it."""
    (root / "bin").mkdir()
    for program in PROGRAMS:
        found = shutil.which(program)
        assert found
        (root / "bin" / program).symlink_to(found)
    seen = f"""#!/bin/sh
cat /proc/$$/cmdline /proc/$$/environ >>'{root}/seen'
exec {shutil.which("curl")} "$@"
"""
    (root / "bin" / "curl").write_text(seen)
    (root / "bin" / "curl").chmod(0o755)


def end(process: subprocess.Popen[str], how: signal.Signals) -> None:
    """End a script and what it has started, as systemd does, and wait for it."""
    if process.poll() is None:
        os.killpg(process.pid, how)
        process.wait(20)


def said(process: subprocess.Popen[str]) -> str:
    assert process.stderr
    return process.stderr.readline()


def test_it_stands_there_at_once_and_is_gone_after_term(node: Node) -> None:
    process = node.start(**LONG)
    process.terminate()
    assert process.wait(20) == 0
    assert is_gone(node.receiver.list(node.etcd.keys.announced))
    assert process.stderr
    assert process.stderr.read() == ""


def test_nothing_of_it_runs_on_after_term(node: Node) -> None:
    process = node.start(**LONG)
    process.terminate()
    process.wait(20)
    # What it has ended is gone a moment later.
    polling.until(lambda: there_is(process.pid), False, 10)


def there_is(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_outlives_its_ttl_by_far(node: Node) -> None:
    node.start(**SHORT)
    for _ in range(3):
        node.outlive(SHORT["ttl"])
        assert node.stands(node.receiver.list(node.etcd.keys.announced))


def test_what_is_not_up_yet_is_announced_as_soon_as_it_is(node: Node) -> None:
    node.alive.unlink()
    node.install(node.access, **LONG)
    process = node.run()
    assert "does not answer" in said(process)
    assert is_gone(node.receiver.list(node.etcd.keys.announced))
    node.alive.touch()
    node.wait(node.stands)


def test_what_dies_expires_and_comes_back_when_it_lives_again(node: Node) -> None:
    process = node.start(**SHORT)
    node.alive.unlink()
    node.wait(is_gone)
    assert "does not answer" in said(process)
    node.alive.touch()
    node.wait(node.stands)


def test_a_check_that_never_ends_is_none_that_succeeds(node: Node) -> None:
    text = (node.folder.parent / "bin" / "timeout").resolve()
    (node.folder.parent / "bin" / "timeout").unlink()
    (node.folder.parent / "bin" / "timeout").write_text(f'#!/bin/sh\nshift\nexec {text} 0.2 "$@"\n')
    (node.folder.parent / "bin" / "timeout").chmod(0o755)
    node.announcement = replace(node.announcement, check="sleep 1000\n")
    node.install(node.access, **LONG)
    assert "does not answer" in said(node.run())


def test_it_expires_when_it_is_killed(node: Node) -> None:
    process = node.start(**SHORT)
    end(process, signal.SIGKILL)
    node.wait(is_gone)


def test_a_new_start_after_a_kill_takes_the_key_over(node: Node) -> None:
    end(node.start(**LONG), signal.SIGKILL)
    node.receiver.put(node.announcement.key, "something else", 60)
    process = node.run()
    node.wait(node.stands)
    process.terminate()
    process.wait(20)
    assert is_gone(node.receiver.list(node.etcd.keys.announced))


def test_what_expired_while_it_was_frozen_is_written_again(node: Node) -> None:
    process = node.start(**SHORT)
    os.killpg(process.pid, signal.SIGSTOP)
    node.wait(is_gone)
    os.killpg(process.pid, signal.SIGCONT)
    node.wait(node.stands)


def test_what_somebody_removed_is_written_again(node: Node) -> None:
    node.start(**SHORT)
    node.receiver.remove(node.announcement.key, VALUE)
    node.wait(node.stands)


def test_what_is_anothers_now_is_neither_refreshed_nor_removed(node: Node) -> None:
    process = node.start(**SHORT)
    node.receiver.put(node.announcement.key, "another's", 60)
    node.outlive(SHORT["ttl"])
    process.terminate()
    assert process.wait(20) == 0
    node.outlive(SHORT["ttl"])
    entries = node.receiver.list(node.etcd.keys.announced).entries
    assert entries == {node.announcement.key: "another's"}


def test_it_goes_on_when_etcd_is_back(node: Node) -> None:
    """Also where etcd has forgotten who is logged in."""
    process = node.start(**SHORT)
    etcd_server.stop(node.etcd.folder)
    # The first that it asks for may still be answered, by an etcd that ends.
    while not is_away(trouble := said(process)):
        assert trouble.startswith("Not announced: etcd answered ")
    assert trouble.startswith("Not announced: ")
    assert "Trying again every 0.2 s." in trouble
    again(node.etcd)
    while (trouble := said(process)) != "Announced again.\n":
        assert trouble.startswith("Not announced: ")
    node.wait(node.stands)
    node.outlive(SHORT["ttl"])
    assert node.stands(node.receiver.list(node.etcd.keys.announced))


def again(etcd: Guarded | Proxied) -> None:
    etcd_server.start(etcd.folder, lambda line: None, etcd.receiver.port)


def is_away(sentence: str) -> bool:
    """Whether it is said of etcd, by curl or by the proxy before it."""
    return ": curl: " in sentence or ": etcd answered 503: etcd at " in sentence


@pytest.mark.parametrize("node", ["proxied"], indirect=True)
def test_it_outlives_a_new_start_of_the_proxy(node: Node) -> None:
    assert isinstance(node.etcd, Proxied)
    process = node.start(**SHORT)
    node_proxy.stop(node.etcd.home)
    assert ": curl: " in said(process)
    node_proxy.start(node.etcd.home, ADDRESSES, print)
    while said(process) != "Announced again.\n":
        pass
    node.outlive(SHORT["ttl"])
    assert node.stands(node.receiver.list(node.etcd.keys.announced))


@pytest.mark.parametrize("node", ["guarded"], indirect=True)
def test_it_logs_in_again_when_etcd_has_forgotten_it(node: Node) -> None:
    process = node.start(**SHORT)
    # At once: the script may be reading it.
    (node.root / "token").write_text('header = "Authorization: forgotten.1"\n')
    (node.root / "token").rename(node.folder / "token")
    node.receiver.remove(node.announcement.key, VALUE)
    node.wait(node.stands)
    process.terminate()
    assert process.stderr
    assert process.stderr.read() == ""


def test_a_start_while_etcd_is_away_waits_for_it(node: Node) -> None:
    node.install(node.access, **LONG)
    etcd_server.stop(node.etcd.folder)
    process = node.run()
    assert is_away(said(process))
    again(node.etcd)
    node.wait(node.stands)


def test_a_stop_while_etcd_is_away_ends_and_says_so(node: Node) -> None:
    process = node.start(**LONG)
    etcd_server.stop(node.etcd.folder)
    try:
        process.terminate()
        assert process.wait(20) == 0
        assert is_away(sentence := said(process))
        assert sentence.startswith("Not removed: ")
    finally:
        again(node.etcd)


def test_a_wrong_password_is_a_sentence(node: Node) -> None:
    access = replace(node.access, password=Secret("wrong-one"))
    node.install(access, **LONG)
    sentence = said(node.run())
    assert sentence.startswith("Not announced: etcd answered 40")
    assert "wrong-one" not in sentence
    assert is_gone(node.receiver.list(node.etcd.keys.announced))


def test_a_key_that_is_not_the_nodes_to_write_is_a_sentence(node: Node) -> None:
    node.announcement = replace(node.announcement, key="/nap/apps/heat")
    node.install(node.access, **LONG)
    assert said(node.run()).startswith("Not announced: etcd answered 40")
    assert is_gone(node.receiver.list("/nap/apps"))


def test_an_etcd_of_another_ca_is_refused(node: Node) -> None:
    access = node.access
    node.install(replace(access, ca=access.cert), **LONG)
    assert "curl: (60)" in said(node.run())


def test_no_secret_is_seen_from_outside(node: Node) -> None:
    process = node.start(**SHORT)
    node.outlive(SHORT["ttl"])
    token = node.folder / "token"
    secrets = [node.access.password.value, "PRIVATE KEY"]
    secrets += [token.read_text().split('"')[1].split()[1]] if node.access.api == "v3" else []
    seen = (node.root / "seen").read_bytes()
    script = Path(f"/proc/{process.pid}")
    seen += (script / "cmdline").read_bytes() + (script / "environ").read_bytes()
    assert seen.count(b"curl") >= 2
    for secret in secrets:
        assert secret.encode() not in seen
    assert {stat.S_IMODE(path.stat().st_mode) for path in node.folder.iterdir()} == {0o600}


@contextmanager
def answering(greeting: bytes) -> Iterator[int]:
    """The port of a server that greets who connects and waits for what they say, as sshd does."""

    class Greeter(BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(greeting)
            self.request.recv(4096)

    with ThreadingTCPServer(("127.0.0.1", 0), Greeter) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def succeeds(check: str) -> bool:
    return subprocess.run(["sh", "-c", check], capture_output=True, check=False).returncode == 0


def test_an_sshd_is_alive_while_it_greets() -> None:
    with answering(b"SSH-2.0-OpenSSH_9.2\r\n") as port:
        assert succeeds(announce.while_greeting("127.0.0.1", port))
    assert not succeeds(announce.while_greeting("127.0.0.1", port))
    with answering(b"HTTP/1.1 200 OK\r\n\r\n") as port:
        assert not succeeds(announce.while_greeting("127.0.0.1", port))


def test_what_takes_connections_and_says_nothing_is_not_alive() -> None:
    """Such as an sshd that is frozen: the kernel still accepts for it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not succeeds(announce.while_greeting("127.0.0.1", silent.getsockname()[1]))
