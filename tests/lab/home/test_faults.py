"""What goes down while something runs: the daemon, etcd, discovery, the disk. Nothing else goes with it."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.nap_home import ROOT, WITHIN, App, NapHome, wait_for
from support.polling import until

from receiver import clock
from registry.discovery import daemon as discovery
from registry.etcd import server as etcd_server

pytestmark = [pytest.mark.lab, pytest.mark.slow]

_GATED = "echo begun; read go < {gate}; seq 100000; echo and done; exit 6\n"
_WHOLE = "".join(["begun\n", *(f"{number}\n" for number in range(1, 100_001)), "and done\n"])


@pytest.fixture
def nap(own_home: NapHome) -> NapHome:
    own_home.up()
    return own_home


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "gate")
    return tmp_path / "gate"


@pytest.fixture
def gated(nap: NapHome, gate: Path, tmp_path: Path) -> App:
    """An app whose program has begun and waits at the gate; the push has been left."""
    app = nap.app("gated", tmp_path / "tree", {"profile": _GATED.format(gate=gate)})
    push = app.start_push()
    wait_for(push.stderr, "begun")
    os.killpg(push.pid, signal.SIGKILL)
    push.communicate()
    return app


def compiles(gate: Path) -> str:
    """A manifest whose step says `compiling`, which its line, shown before it runs, does not, and waits."""
    return f"build: echo comp''iling; read go < {gate}\nto: x\nhosts: 1\n"


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal that ends a process, and come back when it is gone."""
    watch = os.pidfd_open(pid)
    os.kill(pid, number)
    assert select.select([watch], [], [], 30)[0]
    os.close(watch)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def unannounced(nap: NapHome) -> Iterator[None]:
    """No slave gets into etcd while discovery is stopped: a gather waits."""
    pid = discovery.pid(nap.root)
    assert pid
    with stopped(pid):
        yield


def etcd_pid(nap: NapHome) -> int:
    pid = etcd_server.pid(nap.root / "etcd")
    assert pid
    return pid


def of_this_home(nap: NapHome) -> list[str]:
    """Every process of this machine that has the home in its command line, or works in it."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            where = (folder / "cwd").readlink()
        except OSError:
            continue
        if str(nap.root) in line or nap.root in (where, *where.parents):
            found.append(line)
    return found


# --- the daemon ---


def test_a_run_is_adopted_with_its_whole_output_and_exit_code(gated: App, gate: Path) -> None:
    gated.home.kill_daemon()
    gated.home.up()
    gate.write_text("go\n")
    assert gated.wait() == 6
    assert gated.logs() == _WHOLE


def test_a_run_that_ended_while_the_daemon_was_away_has_its_exit_code(gated: App, gate: Path) -> None:
    unit = gated.home.json("ps")[0]["units"][0]["pid"]
    watch = os.pidfd_open(unit)
    gated.home.kill_daemon()
    gate.write_text("go\n")
    assert select.select([watch], [], [], 60)[0]
    os.close(watch)
    gated.home.up()
    assert gated.wait() == 6
    assert gated.logs() == _WHOLE
    assert gated.push("detach").code == 0


def test_a_run_that_outlived_the_receiver_is_recorded_with_its_true_times(gated: App, gate: Path) -> None:
    unit = gated.home.json("ps")[0]["units"][0]["pid"]
    watch = os.pidfd_open(unit)
    gated.home.kill_daemon()
    killed = clock.now()
    gate.write_text("go\n")
    assert select.select([watch], [], [], 60)[0]
    os.close(watch)
    until(gated.processes, [])
    taken_up = clock.now()
    gated.home.up()
    gated.wait()
    run = gated.runs()[0]
    assert run["started"] < killed < run["ended"] < taken_up
    took = clock.seconds(run["ended"]) - clock.seconds(run["started"])
    assert run["seconds"]["run"] == pytest.approx(took, abs=0.002)


def test_mpi_ranks_do_not_notice_that_the_daemon_died(nap: NapHome, gate: Path, tmp_path: Path) -> None:
    manifest = "build: chmod +x waits\nto: waits\nhosts: 2\n"
    wait = f"[ $(hostname) = ranks-slave1 ] && read go < {gate}"
    program = f"#!/bin/sh\necho $(hostname) begun\n{wait}\necho $(hostname) done\n"
    app = nap.app("ranks", tmp_path / "tree", {"mpi.xml": manifest, "waits": program})
    push = app.start_push()
    wait_for(push.stderr, "ranks-slave1 begun")
    nap.kill_daemon()
    told = push.communicate(timeout=60)[1]
    assert "the receiver went away; what it accepted it will take up again" in told
    nap.up()
    gate.write_text("go\n")
    assert app.wait() == 0
    assert app.lines() == [
        "ranks-slave1 begun", "ranks-slave1 done", "ranks-slave2 begun", "ranks-slave2 done",
    ]  # fmt: skip
    assert nap.json("ps") == []


def test_a_push_that_is_being_built_when_the_daemon_dies_is_refused(
    nap: NapHome, gate: Path, tmp_path: Path
) -> None:
    app = nap.app("building", tmp_path / "tree", {"mpi.xml": compiles(gate), "x": ""})
    push = app.start_push()
    wait_for(push.stderr, "compiling")
    nap.kill_daemon()
    told = push.communicate(timeout=60)[1]
    assert push.returncode == 1
    assert "the receiver went away" in told
    assert "[remote rejected]" in told
    until(lambda: of_builds(nap), [])
    nap.up()
    assert app.runs() == []
    assert not (nap.root / "scratch").exists()
    app.commit({"mpi.xml": "build: chmod +x x\nto: x\nhosts: 1\n", "x": "#!/bin/sh\necho fine\n"})
    assert "fine" in app.push().out


def of_builds(nap: NapHome) -> list[str]:
    return [line for line in of_this_home(nap) if "scratch" in line]


def test_a_push_that_was_accepted_when_the_daemon_died_is_deployed(
    gated: App, gate: Path, tmp_path: Path
) -> None:
    """Accepted and not begun: it waits for its turn behind another run."""
    gated.commit({"profile": "echo the second\n"})
    second = gated.start_push()
    wait_for(second.stderr, "waiting for run 1")
    gated.home.kill_daemon()
    second.communicate(timeout=60)
    gated.home.up()
    gate.write_text("go\n")
    assert gated.wait("1") == 6
    assert gated.wait("2") == 0
    assert gated.logs("2") == "the second\n"


def ranks(nap: NapHome, tmp_path: Path) -> App:
    """An app of two slaves that has been pushed once, so that its image is there."""
    app = nap.app("ranks", tmp_path / "tree", {
        "mpi.xml": "build: chmod +x who\nto: who\nhosts: 2\n", "who": "#!/bin/sh\nhostname\n",
    })  # fmt: skip
    assert app.push().code == 0
    return app


def test_a_run_is_gathered_on_after_the_daemon_died_in_it(nap: NapHome, tmp_path: Path) -> None:
    app = ranks(nap, tmp_path)
    with unannounced(nap):
        push = app.start_push()
        wait_for(push.stderr, "2 slaves")
        nap.kill_daemon()
        push.communicate(timeout=60)
        nap.up()
        assert app.runs()[1]["state"] == "starting"
    assert app.wait("2") == 0
    assert app.lines("2") == ["ranks-slave1", "ranks-slave2"]


def test_a_run_that_is_adopted_has_no_need_of_its_image_any_more(gated: App, gate: Path) -> None:
    home = gated.home
    until(lambda: gated.runs()[0]["state"], "running")
    home.kill_daemon()
    (home.root / "images").rename(home.root / "elsewhere")
    home.up()
    gate.write_text("go\n")
    assert gated.wait() == 6
    assert gated.logs() == _WHOLE


def test_a_run_that_cannot_be_gathered_on_is_stopped(nap: NapHome, tmp_path: Path) -> None:
    app = ranks(nap, tmp_path)
    with unannounced(nap):
        push = app.start_push()
        wait_for(push.stderr, "2 slaves")
        nap.kill_daemon()
        push.communicate(timeout=60)
        (nap.root / "images").rename(nap.root / "elsewhere")
        nap.up()
        assert app.wait("2") == 1
    assert "is not there any more" in app.runs()[1]["reason"]
    until(app.processes, [])


def test_a_run_is_cancelled_after_it_was_adopted(gated: App) -> None:
    gated.home.kill_daemon()
    gated.home.up()
    assert gated.home.nap("cancel", gated.name).code == 0
    assert gated.wait() == 130
    assert gated.home.json("ps") == []


def test_a_daemon_that_is_away_is_said_to_be(nap: NapHome, tmp_path: Path) -> None:
    app = nap.app("lone", tmp_path / "tree", {"profile": "echo no\n"})
    nap.kill_daemon()
    pushed = app.push()
    assert pushed.code == 1
    assert "nap is not running on the receiver" in pushed.out
    assert "hint: there: nap up" in pushed.out
    status = nap.nap("status")
    assert (status.code, status.out) == (1, "")
    assert "nap is not running" in status.err


def test_a_ledger_restored_from_a_backup_gives_no_number_again(nap: NapHome, tmp_path: Path) -> None:
    app = nap.app("restored", tmp_path / "tree", {"profile": "echo the first\n"})
    assert app.push().code == 0
    nap.down()
    backup = (nap.root / "ledger.db").read_bytes()
    nap.up()
    app.commit({"profile": "echo the second\n"})
    assert app.push().code == 0
    lost = nap.app("lost", tmp_path / "lost", {"profile": "true\n"})
    nap.down()
    (nap.root / "ledger.db").write_bytes(backup)
    nap.up()
    app.commit({"profile": "echo the third\n"})
    assert app.push().code == 0
    assert [run["number"] for run in app.runs()] == [1, 3]
    assert app.logs("3") == "the third\n"
    assert (nap.root / "runs/restored/2/output").read_text() == "the second\n"
    refused = nap.nap("create", "lost")
    assert (refused.code, "lost.git is there already" in refused.err) == (1, True)
    assert Path(lost.remote, "HEAD").exists()


# --- up and down ---


def test_up_twice_is_up_once(nap: NapHome) -> None:
    before = nap.daemon()
    again = nap.nap("up")
    assert again.code == 0
    assert again.out.count("\n") == 1
    assert again.out.startswith("nap is up")
    assert nap.daemon() == before


def test_two_ups_at_once_start_one_daemon(own_home: NapHome) -> None:
    both = [own_home.start_nap("up", stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    said = [up.communicate(timeout=60) for up in both]
    assert [up.returncode for up in both] == [0, 0], said
    assert sum(out.count("receiver started") for out, _ in said) == 1


def test_down_leaves_no_process(gated: App) -> None:
    nap = gated.home
    assert of_this_home(nap)
    down = nap.nap("down")
    assert down.code == 0
    assert "stopped gated run 1" in down.out
    until(lambda: of_this_home(nap), [])
    assert nap.nap("down").code == 0
    nap.up()
    assert gated.wait() == 130
    run = gated.runs()[0]
    assert (run["state"], run["exit_code"], run["reason"]) == ("cancelled", 130, "nap went down")


def test_down_ends_a_build(nap: NapHome, gate: Path, tmp_path: Path) -> None:
    app = nap.app("building", tmp_path / "tree", {"mpi.xml": compiles(gate), "x": ""})
    push = app.start_push()
    wait_for(push.stderr, "compiling")
    nap.down()
    told = push.communicate(timeout=60)[1]
    assert push.returncode == 1
    assert "[remote rejected]" in told
    until(lambda: of_this_home(nap), [])


def test_up_starts_what_died(nap: NapHome, tmp_path: Path) -> None:
    app = nap.app(
        "lone",
        tmp_path / "tree",
        {"mpi.xml": "build: chmod +x x\nto: x\nhosts: 2\n", "x": "#!/bin/sh\necho fine\n"},
    )
    discovery_pid = discovery.pid(nap.root)
    assert discovery_pid
    kill(discovery_pid)
    kill(etcd_pid(nap))
    refused = app.push()
    assert refused.code == 1
    assert "etcd" in refused.out
    assert refused.out.count("nap: ") == 1
    again = nap.nap("up")
    assert again.code == 0
    assert "etcd is up" in again.out
    assert "discovery started" in again.out
    assert "receiver started" not in again.out
    ran = app.push()
    assert ran.code == 0
    assert ran.out.splitlines().count("fine") == 2


def test_up_finds_an_etcd_that_had_to_move(nap: NapHome, tmp_path: Path) -> None:
    """Its port was taken while it was down."""
    app = nap.app(
        "lone",
        tmp_path / "tree",
        {"mpi.xml": "build: chmod +x x\nto: x\nhosts: 2\n", "x": "#!/bin/sh\necho fine\n"},
    )
    port = int(nap.json("status")["etcd"]["url"].rpartition(":")[2])
    kill(etcd_pid(nap))
    with socket.create_server(("127.0.0.1", port)):
        nap.up()
        assert not nap.json("status")["etcd"]["url"].endswith(f":{port}")
        assert app.push().out.splitlines().count("fine") == 2


# --- etcd and discovery ---


def test_a_run_goes_on_without_etcd(gated: App, gate: Path) -> None:
    kill(etcd_pid(gated.home))
    gate.write_text("go\n")
    assert gated.wait() == 6
    assert gated.logs() == _WHOLE


def test_a_gather_waits_for_etcd_to_come_back(nap: NapHome, tmp_path: Path) -> None:
    app = ranks(nap, tmp_path)
    with unannounced(nap):
        push = app.start_push()
        wait_for(push.stderr, "2 slaves")
        kill(etcd_pid(nap))
    nap.up()
    told = push.communicate(timeout=100)[1]
    assert "succeeded, exit 0" in told
    assert app.wait() == 0


def test_a_gather_that_ends_says_who_is_missing(own_home: NapHome, tmp_path: Path) -> None:
    own_home.settings("gather_timeout: 2\n")
    own_home.up()
    app = own_home.app("ranks", tmp_path / "tree", {
        "mpi.xml": "build: chmod +x who\nto: who\nhosts: 2\n", "who": "#!/bin/sh\nhostname\n",
    })  # fmt: skip
    with unannounced(own_home):
        ran = app.push("strict")
    assert ran.code == 1
    assert "2 of 2 slaves of ranks did not register in time: slave1, slave2" in ran.out
    assert "the slaves' log ends with" in ran.out
    assert own_home.json("ps") == []


def test_a_run_goes_on_without_discovery(gated: App, gate: Path) -> None:
    discovery_pid = discovery.pid(gated.home.root)
    assert discovery_pid
    kill(discovery_pid)
    gate.write_text("go\n")
    assert gated.wait() == 6
    assert gated.logs() == _WHOLE


# --- what stands in the way of nap up ---


def test_a_push_starts_discovery_again_and_says_that_it_was_dead(nap: NapHome, tmp_path: Path) -> None:
    app = ranks(nap, tmp_path)
    died = discovery.pid(nap.root)
    assert died
    kill(died)
    ran = app.push("strict")
    assert ran.code == 0, ran.out
    assert f"discovery had died: it is up again (pid {discovery.pid(nap.root)})" in ran.out


def test_a_gather_starts_discovery_again_that_died_in_it(nap: NapHome, tmp_path: Path) -> None:
    app = ranks(nap, tmp_path)
    died = discovery.pid(nap.root)
    assert died
    os.kill(died, signal.SIGSTOP)  # no slave gets into etcd: the gather waits
    push = app.start_push("strict")
    wait_for(push.stderr, "2 slaves")
    kill(died)
    told = push.communicate(timeout=WITHIN)[1]
    assert push.returncode == 0, told
    assert "discovery had died: it is up again" in told


def is_told(nap: NapHome, sentence: str) -> None:
    up = nap.nap("up")
    assert up.code == 1, up
    assert sentence in up.err
    assert "did not foresee" not in up.err
    assert "Traceback" not in up.err
    assert of_this_home(nap) == []


def test_an_etcd_that_cannot_be_reached_is_named(own_home: NapHome) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    own_home.settings(f"etcd:\n  url: {url}\n")
    is_told(own_home, url)


def test_an_etcd_port_that_is_taken_is_named(own_home: NapHome) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        own_home.settings(f"etcd:\n  port: {port}\n")
        is_told(own_home, f"Port {port}")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("push_limits: 1M\n", "push_limit"),
        ("etcd:\n  prot: 1\n", "etcd.port"),
        ("push_limit: much\n", "push_limit is 'much'"),
        ("engine: cloud\n", "engine is 'cloud'"),
        ("gather_timeout: soon\n", "gather_timeout is 'soon'"),
        ("etcd:\n  ttl: 5\n", "ttl"),
        ("- a list\n", "settings.yaml is not"),
        ("{", "settings.yaml cannot be read"),
        ("etcd:\n  url: http://127.0.0.1:1\n  password_file: /not/there\n", "/not/there"),
        ("etcd:\n  url: nowhere\n", "nowhere"),
    ],
)
def test_settings_that_are_wrong_are_named(own_home: NapHome, text: str, sentence: str) -> None:
    (own_home.root / "settings.yaml").write_text(text)
    is_told(own_home, sentence)


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    nap = NapHome.__new__(NapHome)
    nap.root = tmp_path / "file" / "home"
    nap.env = {**os.environ, "NAP_HOME": str(nap.root)}
    is_told(nap, f"{nap.root} cannot be written")


@pytest.mark.parametrize("name", ["my home", "a,b", "a:b", "$HOME", "it's", "two\nlines", "\udcff"])
def test_a_home_that_mpi_could_not_live_in_is_refused_and_not_made(tmp_path: Path, name: str) -> None:
    nap = NapHome.__new__(NapHome)
    nap.root = tmp_path / name
    nap.env = {**os.environ, "NAP_HOME": str(nap.root)}
    is_told(nap, "cannot be nap's home")
    assert not nap.root.exists()


def test_closed_streams_leave_daemons_that_are_found_again(own_home: NapHome) -> None:
    command = f"exec {sys.executable} -m receiver up <&- >&- 2>&-"
    assert own_home.run("sh", "-c", command, cwd=ROOT).code == 0
    assert own_home.json("status")["apps"] == 0
    assert own_home.nap("down").code == 0
    until(lambda: of_this_home(own_home), [])


def test_a_repository_that_git_variables_name_is_left_alone(own_home: NapHome, tmp_path: Path) -> None:
    """As in a git hook or an alias: nap is started there, and works in its own."""
    other = tmp_path / "other"
    own_home.run("git", "init", "-q", str(other))
    own_home.env.update(GIT_DIR=str(other / ".git"), GIT_WORK_TREE=str(other))
    own_home.up()
    del own_home.env["GIT_DIR"], own_home.env["GIT_WORK_TREE"]
    app = own_home.app("hello", tmp_path / "tree", {"profile": "echo fine\n"})
    pushed = app.push()
    assert (pushed.code, "fine" in pushed.out) == (0, True), pushed
    assert own_home.run("git", "for-each-ref", cwd=other).out == ""
    assert "refs/nap/1" in own_home.run("git", "for-each-ref", cwd=Path(app.remote)).out


def test_a_build_that_nests_folders_without_end_is_refused_without_a_trace(
    own_home: NapHome, tmp_path: Path
) -> None:
    own_home.up()
    runaway = "import os\nfor _ in range(1500): os.mkdir('deep'); os.chdir('deep')\n"
    manifest = "build: python3 x; chmod +x x\nto: x\nhosts: 1\n"
    refused = own_home.app("deep", tmp_path / "tree", {"mpi.xml": manifest, "x": runaway}).push()
    assert refused.code == 1
    assert "nested too deep" in refused.out
    assert list((own_home.root / "scratch").iterdir()) == []


def on_a_small_disk(tmp_path: Path, script: str) -> str:
    """What a script says that has a home on a file system of its own, in a mount namespace of its own."""
    if subprocess.run(["unshare", "-Ur", "--mount", "true"], check=False).returncode:
        pytest.skip("a small file system needs user namespaces")
    (tmp_path / "home").mkdir()
    (tmp_path / "script").write_text(_SMALL_DISK + script)
    unused = NapHome(tmp_path / "unused")
    env = {**unused.env, "PYTHON": sys.executable}
    command = ("unshare", "-Ur", "--mount", "sh", tmp_path / "script", tmp_path / "home", tmp_path / "tree")
    return unused.run(*map(str, command), cwd=ROOT, within=2 * WITHIN, env=env).out


@pytest.mark.timeout(3 * WITHIN)
def test_a_full_disk_is_said_and_leaves_a_home_that_works(tmp_path: Path) -> None:
    seen = on_a_small_disk(tmp_path, _FULL_DISK)
    assert "UP 0" in seen
    assert "CHECKOUT 1" in seen, seen
    assert "the tree cannot be checked out: unable to write file" in seen
    assert "BUILD 1" in seen, seen
    assert "No space left on device" in seen
    assert "nap itself failed" not in seen
    assert "AGAIN 0" in seen, seen
    assert "it fits" in seen
    assert "OWN 5" in seen


@pytest.mark.timeout(3 * WITHIN)
def test_what_a_nearly_full_disk_has_no_room_to_record_is_closed_and_holds_nobody_up(tmp_path: Path) -> None:
    """How far a push comes depends on how much is free: here to each step from its build on."""
    seen = on_a_small_disk(tmp_path, _NEARLY_FULL)
    for free in (20, 36, 64):
        assert f"f{free} PUSHED" in seen, seen
        assert f"f{free} CANCEL 124" not in seen, seen
        assert f"f{free} DESTROY 0" in seen, seen
    assert "nap itself failed" not in seen
    # The one that is left was refused, or ended for want of room: the next receiver does not carry it out.
    assert "LEFT failed\n" in seen, seen
    assert "it fits" not in seen


_SMALL_DISK = """
mount -t tmpfs -o size=400m tmpfs "$1"
export NAP_HOME="$1"
nap() { "$PYTHON" -m receiver "$@"; }
room() { df --output=avail -k "$NAP_HOME" | tail -1; }
leave_free() { head -c $((($(room) - $1) * 1024)) /dev/zero > "$NAP_HOME/filler"; }
push() { git add -A; git commit -q -m change; git push nap master 2>&1; }
begin() {
    nap create "$1" >/dev/null
    rm -rf "$2"; git init -q -b master "$2"; cd "$2"
    git remote add nap "$NAP_HOME/repos/$1.git"
    echo 'echo it fits' > profile
}
here=$PWD
nap up; echo UP $?
trap 'cd "$here"; nap down' EXIT
"""
_FULL_DISK = """
begin full "$2"
head -c 30000000 /dev/urandom > large
leave_free 40000
push; echo CHECKOUT $?
rm "$NAP_HOME/filler"
leave_free 80000
printf 'build: head -c 60000000 /dev/zero > filled\\nto: filled\\nhosts: 1\\n' > mpi.xml
push; echo BUILD $?
rm "$NAP_HOME/filler" mpi.xml
push; echo AGAIN $?
echo 'app: cat /dev/zero >$NAP_SHARE/full; cat /dev/zero; exit 5' > profile
push | tail -c 500; cd "$here"; nap wait full; echo OWN $?
"""
_NEARLY_FULL = """
nap() { (cd "$here"; timeout 40 "$PYTHON" -m receiver "$@"); }
fill_and_push() {
    begin $1 "$2"
    git add -A; git commit -q -m change
    leave_free $3
    git push nap master 2>&1; echo $1 PUSHED
    nap cancel $1 2>&1; echo $1 CANCEL $?
}
for free in 20 36 64; do
    fill_and_push f$free "$2" $free
    rm "$NAP_HOME/filler"
    nap destroy f$free --yes 2>&1; echo f$free DESTROY $?
done
fill_and_push left "$2" 36
cd "$here"; nap down
rm "$NAP_HOME/filler"
nap up
nap wait left 2>&1
nap runs left --json | grep '"state"' | sed 's/.*: "/LEFT /; s/".*//'
nap logs left 2>&1
"""
