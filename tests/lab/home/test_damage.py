"""A home that is damaged, part by part: nap says what is damaged and what to do, or makes it anew."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.nap_home import ROOT, App, NapHome

pytestmark = [pytest.mark.lab, pytest.mark.slow]

_RANDOM = bytes(range(256)) * 16


@pytest.fixture(scope="module")
def nap(tmp_path_factory: pytest.TempPathFactory, stacks: Path) -> Iterator[NapHome]:
    """A home of this file's, which each test damages and mends."""
    made = NapHome(tmp_path_factory.mktemp("damaged") / "home", stacks)
    made.up()
    yield made
    made.down()


@pytest.fixture(scope="module")
def app(nap: NapHome, tmp_path_factory: pytest.TempPathFactory) -> App:
    made = nap.app("hello", tmp_path_factory.mktemp("tree") / "tree", {"profile": "echo it works\n"})
    assert "it works" in made.push().out
    return made


def said(nap: NapHome, *words: str) -> str:
    """What a command that fails says: a sentence and a hint, which is not to do the same again."""
    ran = nap.nap(*words)
    assert ran.code == 1, ran
    assert ran.err.startswith("nap: "), ran
    assert ran.err.count("\n") == 2, ran
    assert "Traceback" not in ran.err
    assert "did not foresee" not in ran.err
    hint = ran.err.splitlines()[1]
    assert words != ("up",) or not hint.strip().startswith(("hint: nap up", "hint: Run: nap up")), ran
    return ran.err


def works(app: App) -> None:
    app.home.up()
    pushed = app.push()
    assert "it works" in pushed.out, pushed


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def scramble(path: Path) -> None:
    path.write_bytes(_RANDOM)


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


WAYS = [cut, scramble, make_folder]


@pytest.mark.parametrize("damage", WAYS)
def test_a_damaged_ledger_is_named_and_can_be_put_back(app: App, damage: Callable[[Path], None]) -> None:
    nap = app.home
    nap.down()
    ledger, kept = nap.root / "ledger.db", nap.root / "kept"
    shutil.copy(ledger, kept)
    damage(ledger)
    told = said(nap, "up")
    assert f"the ledger {ledger} is damaged" in told
    assert "put a backup in its place" in told
    if ledger.is_dir():
        ledger.rmdir()
    kept.replace(ledger)
    works(app)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("endpoint.json", cut),
        ("endpoint.json", make_folder),
        ("tls/client.key", scramble),
        ("tls/client.key", make_folder),
        ("tls/ca.crt", cut),
    ],
)
def test_what_etcd_needs_is_made_anew(app: App, name: str, damage: Callable[[Path], None]) -> None:
    """While it runs: what it has in memory is not what the next command reads."""
    damage(app.home.root / "etcd" / name)
    works(app)


def test_an_etcd_whose_data_are_damaged_begins_anew_and_history_stays(app: App) -> None:
    nap, before = app.home, len(app.runs())
    nap.down()
    for path in (nap.root / "etcd" / "data").rglob("*"):
        if path.is_file():
            scramble(path)
    up = nap.nap("up")
    assert "It begins anew without what it had" in up.out, up
    works(app)
    assert len(app.runs()) == before + 1


def test_certificates_made_while_the_clock_was_wrong_are_made_anew(app: App) -> None:
    app.home.down()
    make = (
        "import datetime, sys\n"
        "from pathlib import Path\n"
        "from registry import certificates\n"
        "class Later(datetime.datetime):\n"
        "    @classmethod\n"
        "    def now(cls, tz=None):\n"
        "        return datetime.datetime.fromtimestamp(4e9, tz)\n"
        "certificates.datetime = type(sys)('datetime')\n"
        "certificates.datetime.__dict__.update(vars(datetime), datetime=Later)\n"
        "certificates.ensure(Path(sys.argv[1]))\n"
    )
    tls = app.home.root / "etcd" / "tls"
    shutil.rmtree(tls)
    subprocess.run([sys.executable, "-c", make, str(tls)], cwd=ROOT, check=True)
    works(app)


@pytest.mark.parametrize("damage", WAYS)
def test_a_build_whose_record_cannot_be_read_is_done_again(app: App, damage: Callable[[Path], None]) -> None:
    for record in (app.home.root / "builds").glob("*.json"):
        damage(record)
    pushed = app.push()
    assert "it works" in pushed.out, pushed
    assert "built before" not in pushed.out
    assert "built before" in app.push().out


def test_a_story_with_a_line_that_is_no_record_is_shown_with_the_rest(app: App) -> None:
    assert "it works" in app.push().out
    run = app.runs()[-1]["number"]
    story = app.home.root / "runs" / "hello" / str(run) / "story"
    lines = story.read_bytes().splitlines(keepends=True)
    story.write_bytes(lines[0] + _RANDOM.replace(b"\n", b"") + b"\n" + b"".join(lines[1:]))
    logs = app.home.nap("logs", "hello", str(run))
    assert (logs.code, logs.out) == (0, "it works\n")
    assert "(a line of this story cannot be read)" in logs.err
    assert "succeeded, exit 0" in logs.err


@pytest.mark.parametrize("name", ["nap.sock", "hook.sock"])
def test_a_receiver_whose_socket_was_deleted_is_started_anew(app: App, name: str) -> None:
    before = app.home.daemon()
    (app.home.root / name).unlink()
    works(app)
    assert app.home.daemon() != before


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"a: {'[' * 2000}{']' * 2000}", "cannot be read"),
        (f"keep: {'9' * 5000}\n", "cannot be read"),
        (f"keep: 0x{'f' * 5000}\n", "keep"),
        ("keep: 2001-13-45\n", "cannot be read"),
        ("keep: 2001-12-14\n", "which is not a whole number"),
    ],
)
def test_settings_that_no_yaml_reader_stands_are_named(app: App, text: str, told: str) -> None:
    settings = app.home.root / "settings.yaml"
    before = settings.read_text()
    settings.write_text(text)
    assert told in said(app.home, "up")
    assert len(said(app.home, "up")) < 1000
    settings.write_text(before)
    works(app)


def test_a_machine_without_loopback_is_said_to_be_one(tmp_path: Path) -> None:
    """In a network of its own, whose lo is down."""
    if subprocess.run(["unshare", "-Urn", "true"], check=False).returncode:
        pytest.skip("a network without lo needs user namespaces")
    env = {**os.environ, "NAP_HOME": str(tmp_path / "home")}
    command = ("unshare", "-Urn", sys.executable, "-m", "receiver", "up")
    ran = subprocess.run(command, cwd=ROOT, env=env, text=True, capture_output=True, timeout=60, check=False)
    assert ran.returncode == 1
    assert "does not reach itself at 127.0.0.1" in ran.stderr
    assert "ip link set lo up" in ran.stderr
