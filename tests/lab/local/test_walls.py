"""What a program of the local engine tries against nap, with real capsules of both kinds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from support.local_engine import EngineLab
from support.nap_home import App, NapHome
from support.polling import until

from receiver.home.paths import Home
from units.capsule import kinds
from units.capsule.command import argv_inside
from units.job import Handle, Outcome

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

KINDS = {"namespaces": kinds.Namespaces(), "plain": kinds.Plain()}
both_kinds = pytest.mark.parametrize("lab", KINDS, indirect=True)
namespaces_only = pytest.mark.parametrize("lab", ["namespaces"], indirect=True)
SECRET = "etcd/client.key"


@pytest.fixture
def lab(tmp_path: Path, stacks: Path, request: pytest.FixtureRequest) -> EngineLab:
    """A home with a secret in it."""
    if request.param == "namespaces" and (why := kinds.refusal()):
        pytest.skip(f"this machine allows no user namespaces: {why}")
    made = EngineLab(tmp_path, stacks, enclosure=KINDS[request.param])
    (made.home / SECRET).parent.mkdir()
    (made.home / SECRET).write_text("secret")
    return made


def attack(lab: EngineLab, text: str, results: tuple[str, ...] = ()) -> tuple[str, Handle, Outcome]:
    """What the program said, which is run where there is one slave; its results are brought already."""
    tree = lab.tree("attack", {"attack.sh": text})
    job = lab.mpi_job(tree, "openmpi5", (1,), script=f"HOME={lab.home} sh attack.sh 2>&1")
    ended = lab.run(replace(job, results=results))
    return ended.text, Handle(ended.folder), ended.outcome


@namespaces_only
def test_of_its_run_a_program_sees_its_own_folders_and_the_hostfile(lab: EngineLab) -> None:
    look = f"""\
ls -A "$NAP_APP/.."; touch "$NAP_APP/../new" && echo made; echo >>"$NAP_APP/../hostfile" && echo written
echo >>/etc/hosts && echo written; mv "$NAP_SHARE" "$NAP_APP/../moved" && echo moved
ls -A {lab.home}; touch {lab.home}/new && echo made; cat "$NAP_APP/../hostfile"
"""
    said, _, outcome = attack(lab, look)
    lines = [line for line in said.splitlines() if ": " not in line]
    assert lines == ["agent", "app", "hostfile", "share", "slaves", "tmp", "runs", "lab-slave1 slots=1"]
    assert outcome == Outcome(0)


@both_kinds
@pytest.mark.parametrize("name", ["places/*", "places/*/app", "places/*/changed", "share", "app"])
def test_no_link_in_the_place_of_a_folder_moves_what_is_behind_it(lab: EngineLab, name: str) -> None:
    """As `mv $n zz; mkdir $n; ln -s $NAP_HOME/repos/victim.git $n/app`, with `results: ["*"]`."""
    text = f"""\
cd "$NAP_APP/.."; for n in {name}; do mv "$n" zz; ln -s {lab.home}/etcd "$n"; done
cd "$NAP_SHARE"; ln -s {lab.home}/etcd link; ln -s {lab.home}/{SECRET} key; true
"""
    _, handle, _ = attack(lab, text, ("*", "**/*.key"))
    assert (lab.home / SECRET).read_text() == "secret"
    assert not [path for path in (handle.folder / "results").rglob("*") if path.name.endswith("key")]


@both_kinds
def test_removing_a_run_follows_no_link_of_its_program(lab: EngineLab) -> None:
    text = f"""\
mkdir closed; ln -s {lab.home}/etcd closed/link; chmod 0 closed
cd "$NAP_APP/.."; for n in share app slaves; do mv $n $n.old; ln -s {lab.home}/etcd $n; done; true
"""
    before = (lab.home / "etcd").stat().st_mode
    attack(lab, text)
    assert (lab.home / SECRET).read_text() == "secret"
    assert (lab.home / "etcd").stat().st_mode == before


FORGED = json.dumps({"exit_code": 0, "reason": "all is well", "state": "ended"})


@namespaces_only
@pytest.mark.parametrize(
    "attempt",
    [
        f"echo '{FORGED}' >exit",
        f"echo '{FORGED}' >exit.new; mv exit.new exit",
        "rm -rf exit* run.json units output story control lock pid pids",
        "printf '\\377' >control",
        f"echo 'stop {FORGED}' >control",
        "for n in *; do mv $n zz; done",
        "kill -9 1; kill -9 -1 & wait",
    ],
)
def test_a_program_cannot_say_itself_how_its_run_ended(lab: EngineLab, attempt: str) -> None:
    _, handle, outcome = attack(
        lab, f'(cd "$NAP_APP/.."; {attempt}; cd {lab.home}/runs/lab/1; {attempt})\nexit 3'
    )
    assert outcome.exit_code in (3, 137)
    assert {"run.json", "units", "exit", "output"} <= {path.name for path in handle.folder.iterdir()}


@both_kinds
def test_what_is_no_command_does_not_break_a_runner(lab: EngineLab) -> None:
    handle = lab.submit(lab.mpi_job(lab.tree("empty"), "openmpi5", (1,), script="exit 4"))
    for line in (
        b"\xff",
        b"stop",
        b"stop {}",
        b"stop []",
        b'stop {"exit_code": "x"}',
        b"\0" * 5000,
        b"nothing",
    ):
        with (handle.folder / "control").open("wb") as control:
            control.write(line + b"\n")
    lab.start(handle, lab.mpi_job(lab.tree("empty"), "openmpi5", (1,), script="exit 4"))
    assert lab.finish(handle).outcome == Outcome(4)


@both_kinds
def test_who_waits_for_a_slave_is_answered_through_no_link(lab: EngineLab) -> None:
    """A slave that is killed answers by its FIFOs, whatever a program has put there."""
    text = f"""\
cd "$NAP_SLAVES/lab-slave1"
ln -s {lab.home}/{SECRET} 1.status; ln -s ../../exit 2.status; ln -s ../../run.json 3.status; mkdir 4.status
echo x >5.status; mv requests gone; mkdir requests; echo ready; sleep 60
"""
    tree = lab.tree("attack", {"attack.sh": text})
    job = lab.mpi_job(tree, "openmpi5", (1,), script="sh attack.sh")
    handle = lab.begin(job)
    spec = (handle.folder / "run.json").read_text()
    until_said(handle, "ready")
    kill_slave(lab, handle)
    outcome = lab.finish(handle, 60).outcome
    assert outcome.exit_code == 137
    assert "lab-slave1" in outcome.reason
    assert ((lab.home / SECRET).read_text(), (handle.folder / "run.json").read_text()) == ("secret", spec)


def until_said(handle: Handle, line: str) -> None:
    until(lambda: handle.output.exists() and line in handle.output.read_text().splitlines(), True, 60)


def kill_slave(lab: EngineLab, handle: Handle) -> None:
    slave = next(state for state in lab.engine.states(handle) if state.name.startswith("slaves_"))
    os.kill(slave.pid, signal.SIGKILL)


UNCOVER = """\
grep '^Cap' /proc/self/status
umount -l {home} && echo uncovered; umount -l {home}/runs && echo uncovered
mount -t tmpfs none /mnt && echo mounted; mount -o remount,rw {home} && echo opened
unshare --user --mount umount -l {home} && echo uncovered
unshare --map-root-user --mount umount -l {home} && echo uncovered
unshare --user --mount mount -o remount,bind,rw {home} && echo opened
unshare --mount true && echo apart; nsenter --target 1 --mount true && echo entered
cat /proc/1/environ; head -c 1 /proc/1/mem && echo read; ls -A {home}
"""


@namespaces_only
def test_no_right_is_left_to_a_program_also_of_root(lab: EngineLab) -> None:
    said, _, outcome = attack(lab, UNCOVER.format(home=lab.home))
    assert_nothing_uncovered(said, ["runs"])
    assert outcome == Outcome(0)


@namespaces_only
def test_no_right_is_left_to_a_build_also_of_root(
    lab: EngineLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kinds, "here", lambda: KINDS["namespaces"])
    script = f"exec 2>&1; {UNCOVER.format(home=lab.home)}"
    command = argv_inside(lab.home, (lab.tree("built"),), (), ("sh", "-c", script))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert_nothing_uncovered(done.stdout, ["images"])


def assert_nothing_uncovered(said: str, shown: list[str]) -> None:
    lines = [line for line in said.splitlines() if ": " not in line and not line.startswith(" ")]
    rights = [line.split() for line in lines if line.startswith("Cap")]
    assert [right for _, right in rights] == ["0" * 16] * 5
    assert [line for line in lines if not line.startswith("Cap")] == shown


@namespaces_only
def test_ranks_of_a_slave_may_read_each_others_memory(lab: EngineLab) -> None:
    """MPI copies large messages that way: a program has no right over others, and needs none over itself."""
    tree = lab.compiled("copied", [Path(__file__).with_name("copied.c")], "openmpi5")
    ended = lab.run(lab.mpi_job(tree, "openmpi5", (2,), "./copied"))
    assert (ended.text, ended.outcome) == ("rank 0 read 42 in rank 1\n", Outcome(0))


SHADOWED = ("cat", "mkfifo", "rm")
BROKEN = {
    "PATH": "$NAP_APP",
    "LD_PRELOAD": "/nonexistent.so",
    "ENV": "/x",
    "BASH_ENV": "/x",
    "CDPATH": "/",
}


@both_kinds
@pytest.mark.parametrize("flavour", ["openmpi5", "mpich"])
def test_naps_own_shells_do_not_go_by_the_programs_environment(lab: EngineLab, flavour: str) -> None:
    tree = lab.tree("tools", dict.fromkeys(SHADOWED, "#!/bin/sh\necho shadowed\n"))
    for name in SHADOWED:
        (tree / name).chmod(0o755)
    (tree / "see").write_text("#!/bin/sh\necho $PATH $LD_PRELOAD $ENV\n")
    (tree / "see").chmod(0o755)
    job = lab.mpi_job(tree, flavour, (1, 1), "./see")
    assert job.mpi
    ended = lab.run(replace(job, mpi=replace(job.mpi, env=tuple(BROKEN.items()))))
    assert ended.outcome == Outcome(0), ended.text
    seen = [line for line in ended.lines if "ld.so" not in line]
    assert len(seen) == 2
    for line in seen:
        path, *rest = line.split()
        assert path.startswith(f"{ended.folder}/app:")
        assert rest[-2:] == ["/nonexistent.so", "/x"]


@both_kinds
def test_a_program_that_fills_the_disk_keeps_its_own_exit_code(
    tmp_path: Path, stacks: Path, lab: EngineLab, request: pytest.FixtureRequest
) -> None:
    with small_disk(tmp_path / "small"):
        enclosure = KINDS[request.node.callspec.params["lab"]]
        small = EngineLab(tmp_path / "small/lab", stacks, enclosure=enclosure)
        fill = "cat /dev/zero >$NAP_SHARE/full; cat /dev/zero; exit 5"
        job = small.processes_job(small.tree("empty"), {"app": fill})
        handle = small.begin(job)
        assert small.engine.wait(handle, 60)
        assert small.engine.outcome(handle) == Outcome(5)
        small.engine.results(handle)


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "nap-test", folder], check=False).returncode:
        pytest.skip("a small file system needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


VICTIM = """\
cd "$NAP_APP/../places" || cd "$NAP_APP/.."
for n in *; do mv $n zz; mkdir $n; ln -s $HOME_OF_NAP/repos/victim.git $n/app; done
rm -rf ../story story; echo done
"""


def test_an_app_takes_nothing_from_another_and_keeps_its_story(
    home: NapHome, new_app: Callable[..., App]
) -> None:
    victim = new_app({"profile": "echo hello\n"})
    manifest = f"run: HOME_OF_NAP={home.root} sh attack.sh\nhosts: 1\nresults: ['*', '**/*']\n"
    manifest = manifest.replace("victim", victim.name)
    attacker = new_app({"mpi.xml": manifest, "attack.sh": VICTIM.replace("victim", victim.name)})
    pushed = attacker.push()
    assert "succeeded, exit 0" in pushed.out, pushed.out
    assert attacker.wait() == 0
    assert (Home(home.root).repository(victim.name) / "HEAD").exists()
    assert not [entry for entry in home.json("results", attacker.name) if entry["name"].endswith("HEAD")]
    assert "run 1 of" in home.nap("logs", attacker.name).err
    assert victim.push("strict").code == 0
