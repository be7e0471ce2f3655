"""The node's announcer as a real process, with a real etcd."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.etcd import endpoint, etcd, guarded, keys, member, store, until

import nap_start
from registry import Endpoint, Keys, Store, StoreSettings, Timing, open_store
from registry.discovery import daemon as discovery
from registry.etcd import server as etcd_server

__all__ = ["endpoint", "etcd", "guarded", "keys", "store"]

pytestmark = pytest.mark.slow
HASTY = Timing(ttl=2, refresh=0.3, retry=0.3)


@dataclass
class Runner:
    """A run's runner, as far as the announcer knows it: a connection with the standard library."""

    home: Path
    connection: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        folder = os.open(self.home, os.O_DIRECTORY)
        try:
            self.connection = socket.socket(socket.AF_UNIX)
            self.connection.connect(f"/proc/self/fd/{folder}/{discovery.SOCKET}")
        finally:
            os.close(folder)

    def say(self, message: object) -> None:
        self.connection.sendall(json.dumps(message).encode() + b"\n")

    def announce(self, keys: Keys, *indices: int) -> None:
        for index in indices:
            value = member(index).to_json()
            self.say({"announce": {"key": keys.slave("heat", index), "value": value}})

    def close(self) -> None:
        self.connection.close()


@pytest.fixture
def home(tmp_path: Path, endpoint: Endpoint) -> Iterator[Path]:
    """A home whose announcer runs, in a folder with a name too long for a socket's path."""
    folder = tmp_path / ("h" * 120)
    folder.mkdir()
    StoreSettings(endpoint).save(folder / discovery.SETTINGS)
    discovery.start(folder, folder / "discovery.log")
    yield folder
    discovery.stop(folder)


@pytest.fixture
def hasty_home(home: Path, endpoint: Endpoint) -> Path:
    """One whose keys expire soon."""
    discovery.stop(home)
    StoreSettings(endpoint, timing=HASTY).save(home / discovery.SETTINGS)
    discovery.start(home, home / "discovery.log")
    return home


def there(keys: Keys, *indices: int) -> Callable[[object], bool]:
    """True of a listing with exactly these slaves."""
    wanted = {keys.slave("heat", index): member(index).to_json() for index in indices}
    return lambda listing: listing.entries == wanted  # type: ignore[attr-defined]


def alive(runner: Runner, keys: Keys, *indices: int) -> Callable[[], None]:
    """Says that these slaves were seen alive, without which their keys expire."""
    return lambda: runner.say({"alive": [keys.slave("heat", index) for index in indices]})


def test_what_a_runner_announces_is_there_and_goes_with_its_connection(
    home: Path, store: Store, keys: Keys
) -> None:
    first, second = Runner(home), Runner(home)
    first.announce(keys, 1, 2)
    second.announce(keys, 3)
    until(store, keys.slaves("heat"), there(keys, 1, 2, 3))
    first.close()
    until(store, keys.slaves("heat"), there(keys, 3))
    second.close()
    until(store, keys.slaves("heat"), there(keys))


def test_a_withdrawn_key_goes_alone(home: Path, store: Store, keys: Keys) -> None:
    runner = Runner(home)
    runner.announce(keys, 1, 2)
    until(store, keys.slaves("heat"), there(keys, 1, 2))
    runner.say({"withdraw": keys.slave("heat", 1)})
    until(store, keys.slaves("heat"), there(keys, 2))


def test_the_key_of_a_slave_that_is_not_seen_alive_expires_alone(
    hasty_home: Path, store: Store, keys: Keys
) -> None:
    runner = Runner(hasty_home)
    runner.announce(keys, 1, 2, 3)
    until(store, keys.slaves("heat"), there(keys, 1, 2, 3), meanwhile=alive(runner, keys, 1, 2, 3))
    until(store, keys.slaves("heat"), there(keys, 1, 3), meanwhile=alive(runner, keys, 1, 3))


def test_a_slave_that_comes_to_life_again_has_its_key_again(
    hasty_home: Path, store: Store, keys: Keys
) -> None:
    runner = Runner(hasty_home)
    runner.announce(keys, 1)
    until(store, keys.slaves("heat"), there(keys, 1), meanwhile=alive(runner, keys, 1))
    until(store, keys.slaves("heat"), there(keys))
    until(store, keys.slaves("heat"), there(keys, 1), meanwhile=alive(runner, keys, 1))


def test_a_bad_line_ends_its_connection_and_no_other(home: Path, store: Store, keys: Keys) -> None:
    good, bad = Runner(home), Runner(home)
    good.announce(keys, 1)
    bad.announce(keys, 2)
    until(store, keys.slaves("heat"), there(keys, 1, 2))
    bad.connection.sendall(b"{not json\n")
    assert bad.connection.recv(1) == b""
    until(store, keys.slaves("heat"), there(keys, 1))


def test_a_runner_that_connects_anew_keeps_its_keys(home: Path, store: Store, keys: Keys) -> None:
    old, new = Runner(home), Runner(home)
    old.announce(keys, 1, 2)
    until(store, keys.slaves("heat"), there(keys, 1, 2))
    new.announce(keys, 1)
    new.announce(keys, 3)
    until(store, keys.slaves("heat"), there(keys, 1, 2, 3))
    old.close()
    until(store, keys.slaves("heat"), there(keys, 1, 3))


def test_keys_live_on_when_it_is_killed_and_started_again(hasty_home: Path, store: Store, keys: Keys) -> None:
    before = Runner(hasty_home)
    before.announce(keys, 1, 2)
    until(store, keys.slaves("heat"), there(keys, 1, 2), meanwhile=alive(before, keys, 1, 2))
    killed = discovery.pid(hasty_home)
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    discovery.stop(hasty_home)
    assert discovery.start(hasty_home, hasty_home / "discovery.log") != killed
    before.close()
    runner = Runner(hasty_home)
    runner.announce(keys, 1)
    until(store, keys.slaves("heat"), there(keys, 1), meanwhile=alive(runner, keys, 1))


def test_it_leaves_the_keys_of_live_slaves_when_it_is_stopped(home: Path, store: Store, keys: Keys) -> None:
    runner = Runner(home)
    runner.announce(keys, 1)
    until(store, keys.slaves("heat"), there(keys, 1))
    discovery.stop(home)
    assert discovery.pid(home) is None
    assert there(keys, 1)(store.list(keys.slaves("heat")))
    runner.close()


def test_there_is_one_a_home(home: Path) -> None:
    running = discovery.pid(home)
    assert discovery.start(home, home / "discovery.log") == running
    command = nap_start.argv("registry.discovery.daemon", "--home", str(home))
    again = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert f"runs already, as process {running}" in again.stderr
    assert discovery.pid(home) == running


def test_its_socket_is_for_its_owner_only(home: Path) -> None:
    assert (home / discovery.SOCKET).stat().st_mode & 0o777 == 0o600


def test_what_is_announced_while_etcd_is_away_is_there_when_it_is_back(tmp_path: Path, keys: Keys) -> None:
    endpoint = etcd_server.start(tmp_path / "etcd", lambda line: None)
    etcd_server.stop(tmp_path / "etcd")
    StoreSettings(endpoint, timing=HASTY).save(tmp_path / discovery.SETTINGS)
    command = nap_start.argv("registry.discovery.daemon", "--home", str(tmp_path))
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = [process.stderr.readline()]
        runner = Runner(tmp_path)
        runner.announce(keys, 1, 2)
        try:
            etcd_server.start(tmp_path / "etcd", lambda line: None)
            until(open_store(endpoint), keys.slaves("heat"), there(keys, 1, 2))
        finally:
            process.terminate()
            etcd_server.stop(tmp_path / "etcd")
        said += process.stderr.readlines()
    assert len([line for line in said if "cannot be reached" in line]) == 1
    assert len([line for line in said if "etcd is back" in line]) == 1


def test_a_home_without_settings_of_etcd_is_said_in_a_sentence(tmp_path: Path) -> None:
    command = nap_start.argv("registry.discovery.daemon", "--home", str(tmp_path))
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 1
    assert "etcd.json cannot be read" in result.stderr
    assert "Traceback" not in result.stderr
