"""What other users of the machine can do to a home: nothing, whatever umask its owner has."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from support.nap_home import NapHome

from registry.etcd.endpoint import StoreSettings

pytestmark = pytest.mark.lab
NOBODY = 65534


@pytest.fixture(scope="module")
def careless(stacks: Path) -> Iterator[NapHome]:
    """A home whose owner lets everybody write what is made, in a folder that everybody may enter."""
    mask = os.umask(0)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        home = NapHome(Path(folder) / "home", stacks)
        try:
            home.up()
            yield home
        finally:
            os.umask(mask)
            home.down()


def test_all_that_nap_makes_is_for_its_owner_alone(careless: NapHome) -> None:
    """Of what the test itself has made, the settings and the link to the shared stacks, nothing is said."""
    made = [path for path in careless.root.rglob("*") if path.name not in ("settings.yaml", "stacks")]
    open_to_others = {
        str(path): stat.filemode(path.lstat().st_mode) for path in made if path.lstat().st_mode & 0o077
    }
    assert open_to_others == {}
    assert stat.S_IMODE(careless.root.stat().st_mode) == 0o700
    sockets = {path.name for path in made if path.is_socket()}
    assert {"nap.sock", "hook.sock", "discovery.sock"} <= sockets
    keys = {path.name for path in made if path.suffix == ".key"}
    assert keys == {"ca.key", "server.key", "client.key", "node.key", "images.key"}


# As somebody who knows where everything is: what of it can be listed, read or connected to.
_TRY = """
import os, socket, sys
os.setgroups([]); os.setgid({nobody}); os.setuid({nobody})
for path in sys.argv[1:]:
    for what in (os.listdir, open, lambda path: socket.socket(socket.AF_UNIX).connect(path)):
        try:
            what(path)
        except PermissionError:
            continue
        except OSError:
            pass
        print(path)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="nobody else can be become")
def test_another_user_reads_nothing_and_connects_to_no_socket(careless: NapHome) -> None:
    inside = [str(path) for path in careless.root.rglob("*")]
    command = [sys.executable, "-I", "-c", _TRY.format(nobody=NOBODY), str(careless.root), *inside]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == ""
    assert len(inside) > 20


def test_nobody_reaches_etcd_without_the_homes_certificate(careless: NapHome) -> None:
    endpoint = StoreSettings.load(careless.root / "etcd.json").endpoint
    session = requests.Session()
    session.trust_env, session.verify = False, endpoint.ca
    for path in ("/v2/keys/", "/v3/kv/range", "/version", "/metrics", "/health"):
        with pytest.raises(requests.exceptions.ConnectionError):
            session.get(endpoint.url + path, timeout=20)
        with pytest.raises(requests.exceptions.RequestException):
            session.get(endpoint.url.replace("https", "http") + path, timeout=20).raise_for_status()
    session.cert = (endpoint.cert, endpoint.key)
    assert session.get(f"{endpoint.url}/version", timeout=20).ok


def test_nothing_of_a_local_home_listens_where_others_reach_it(careless: NapHome) -> None:
    """Each process that has the home's name in its command line."""
    ours = [process for process in Path("/proc").iterdir() if str(careless.root) in _command_line(process)]
    assert len(ours) >= 3
    addresses = {address for process in ours for address in _listening(process)}
    assert addresses == {"127.0.0.1"}


def _command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_text(errors="replace") if process.name.isdigit() else ""
    except OSError:
        return ""


def _listening(process: Path) -> set[str]:
    descriptors = (process / "fd").iterdir()
    sockets = {link[8:-1] for link in map(os.readlink, descriptors) if link.startswith("socket:")}
    tables = [(process / "net" / table).read_text().splitlines()[1:] for table in ("tcp", "tcp6")]
    rows = [line.split() for lines in tables for line in lines]
    hosts = {row[1].partition(":")[0] for row in rows if row[3] == "0A" and row[9] in sockets}
    return {socket.inet_ntoa(bytes.fromhex(host)[::-1]) if len(host) == 8 else host for host in hosts}
