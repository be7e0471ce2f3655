"""The parts of a run's first process: its ending, restarts, units, and what it says to discovery."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from units.capsule import process_tree
from units.supervisor import children, processes
from units.supervisor.announcer import Announcer
from units.supervisor.deadline import Ending
from units.supervisor.exitcode import exit_code, mpich_signal
from units.supervisor.restarts import LONGEST, Restarts
from units.supervisor.unit import Unit, read_units


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


UNIT = Unit("process", "web_a.v1@1", "a-web", "a-web", ["true"], {})


def test_the_first_outcome_stands() -> None:
    ending = Ending()
    ending.settle(137, "the slave was lost")
    ending.settle(0)
    assert ending.outcome == {"exit_code": 137, "reason": "the slave was lost", "state": "ended"}


def test_the_end_only_comes_closer() -> None:
    clock = Clock()
    ending = Ending(clock)
    assert ending.left == float("inf")
    ending.within(60)
    ending.within(5)
    ending.within(10)
    assert ending.left == 5
    clock.now += 7
    assert ending.left == 0.0


def test_what_ran_into_its_end_can_be_given_another() -> None:
    ending = Ending(Clock())
    ending.within(0)
    ending.extend()
    ending.within(5)
    assert ending.left == 5


def test_what_keeps_crashing_waits_twice_as_long_each_time_up_to_a_minute() -> None:
    restarts = Restarts(Clock())
    assert [restarts.add(UNIT, 0.1) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_what_had_lived_for_long_begins_anew() -> None:
    restarts = Restarts(Clock())
    restarts.add(UNIT, 0.1)
    restarts.add(UNIT, 0.1)
    assert restarts.add(UNIT, LONGEST) == 1


def test_a_restart_is_due_once_and_not_before_its_time() -> None:
    clock = Clock()
    restarts = Restarts(clock)
    restarts.add(UNIT, 0.1)
    assert (restarts.take_due(), restarts.left) == ([], 1)
    clock.now += 1
    assert restarts.left == 0
    assert restarts.take_due() == [UNIT]
    assert (restarts.take_due(), restarts.left) == ([], float("inf"))


def test_units_are_read_in_slave_order_with_what_is_announced_of_them(tmp_path: Path) -> None:
    for index in (10, 9):
        slave = {"kind": "slave", "name": f"s@{index}", "index": index, "hostname": f"a-slave{index}"}
        place = {"place": f"a-slave{index}", "argv": ["sh"], "env": {"A": "b"}, "address": "x", "slots": 1}
        (tmp_path / f"s@{index}.json").write_text(json.dumps({**slave, **place}))
    discovery = {"kind": "discovery", "name": "d", "announces": "s@10", "key": "/k", "value": "v"}
    (tmp_path / "d.json").write_text(json.dumps(discovery))
    assert read_units(str(tmp_path)) == [
        Unit("slave", "s@9", "a-slave9", "a-slave9", ["sh"], {"A": "b"}),
        Unit("slave", "s@10", "a-slave10", "a-slave10", ["sh"], {"A": "b"}, key="/k", value="v"),
    ]


@pytest.mark.parametrize(("end", "code"), [("exit 3", 3), ("kill -TERM $$", 143), ("kill -KILL $$", 137)])
def test_an_exit_code_is_what_a_shell_tells(end: str, code: int) -> None:
    child = subprocess.Popen(["sh", "-c", end])
    _, status = os.waitpid(child.pid, 0)
    child.returncode = 0
    assert exit_code(status) == code


@pytest.mark.parametrize(
    ("code", "said", "told"),
    [
        (11, "YOUR APPLICATION TERMINATED WITH THE EXIT STRING: Segmentation fault (signal 11)\n", 139),
        (11, "the program's own exit(11)\n", 11),
        (3, "EXIT STRING: Killed (signal 9)\n", 3),
        (9, "EXIT STRING: Killed (signal 9)\n" + "x" * 5000, 9),
    ],
)
def test_mpichs_signal_is_told_from_an_exit_code_by_its_last_words(
    tmp_path: Path, code: int, said: str, told: int
) -> None:
    (tmp_path / "output").write_text(said)
    assert mpich_signal(code, str(tmp_path / "output")) == told


class Discovery:
    """A fake of the node's announcer: a socket in `home`, and what came over it."""

    def __init__(self, home: Path) -> None:
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(home / "discovery.sock"))
        self.listener.listen()
        self.listener.settimeout(10)

    def accept(self) -> socket.socket:
        connection, _ = self.listener.accept()
        connection.settimeout(10)
        return connection


def test_what_is_announced_is_announced_again_after_a_break(tmp_path: Path) -> None:
    announcer = Announcer(os.open(tmp_path, os.O_PATH))
    announcer.announce("/early", "1")
    discovery = Discovery(tmp_path)
    announcer.announce("/k", "2")
    first = discovery.accept().makefile()
    told = [json.loads(first.readline()) for _ in range(2)]
    assert {"announce": {"key": "/early", "value": "1"}} in told
    assert {"announce": {"key": "/k", "value": "2"}} in told


def test_only_what_is_announced_is_said_to_be_alive(tmp_path: Path) -> None:
    discovery = Discovery(tmp_path)
    announcer = Announcer(os.open(tmp_path, os.O_PATH))
    announcer.announce("/k", "2")
    announcer.announce("/l", "3")
    announcer.withdraw("/l")
    announcer.alive(["", "/k", "/l"])
    announcer.withdraw_all()
    announcer.alive([""])
    lines = discovery.accept().makefile()
    del announcer
    told = [json.loads(lines.readline()) for _ in range(6)][-3:]
    assert told == [{"withdraw": "/l"}, {"alive": ["/k"]}, {"withdraw": "/k"}]


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "60"])


def test_a_process_is_found_again_by_its_number_and_start() -> None:
    with sleeper() as process:
        identity = f"{process.pid} {processes.start_time(process.pid)}"
        assert processes.find(identity) == process.pid
        assert processes.find(f"{process.pid} 1") is None
        process.kill()
    assert processes.find(identity) is None


@pytest.mark.parametrize("identity", ["", "x y", "0 0", "-1 1", "99999999 1"])
def test_an_identity_that_names_nobody_finds_nobody(identity: str) -> None:
    assert processes.find(identity) is None


def test_waiting_for_a_process_ends_with_it_or_with_its_time() -> None:
    with sleeper() as process:
        assert not processes.wait(process.pid, 0)
        assert processes.state(process.pid) == "alive"
        process.kill()
        assert processes.wait(process.pid, 10)
    assert processes.wait(process.pid, 0)
    assert processes.state(process.pid) == "ended"
    processes.kill(process.pid)


def test_a_stopped_process_is_told_apart() -> None:
    with sleeper() as process:
        os.kill(process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        assert processes.state(process.pid) == "stopped"
        process.kill()


def test_descendants_are_found_through_all_generations() -> None:
    generations = "sh -c 'sh -c \"sleep 60 & echo \\$!; wait\"; true'; true"
    with subprocess.Popen(["sh", "-c", generations], stdout=subprocess.PIPE) as shell:
        assert shell.stdout
        youngest = int(shell.stdout.readline())
        found = process_tree.of(os.getpid())
        processes.kill(youngest)
    assert {shell.pid, youngest} <= set(found)
    assert len(found) == len(set(found)) >= 4


def test_only_what_carries_the_mark_is_killed_with_what_it_started() -> None:
    marked = "NAP_M=1 sh -c 'env -i sleep 60 & echo marked $!; wait'"
    command = f"{marked} & NAP_M=12 sleep 60 & echo other $!; wait"
    with subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE, text=True) as shell:
        assert shell.stdout
        numbers = dict(shell.stdout.readline().split() for _ in range(2))
        process_tree.kill_marked(shell.pid, "NAP_M=1")
        ended = processes.wait(int(numbers["marked"]), 10)
        other = processes.state(int(numbers["other"]))
        processes.kill(int(numbers["other"]))
    assert (ended, other) == (True, "alive")


def test_a_childs_changes_are_told_in_turn() -> None:
    child = subprocess.Popen(["sh", "-c", "kill -STOP $$"])
    os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
    assert (child.pid, None, True) in list(children.changes())
    os.kill(child.pid, signal.SIGCONT)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    child.returncode = 0
    assert (child.pid, 0, False) in list(children.changes())
