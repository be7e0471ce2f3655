"""What is made of an mpirun's daemons, and of its last words."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from units.supervisor.daemons import Daemons, noted_in
from units.supervisor.exitcode import in_words, killed_rank, lost_in_words

PLACES = {"a-slave1": "a-slave1 on node1", "a-slave2": "a-slave2 on node2"}
KILLED = "the MPI daemon on a-slave2 on node2 was killed by signal 9 (SIGKILL)"
CUT_OFF = "sshd on a-slave2 on node2 ended, or cannot be reached any more"
BOTH = "a-slave1 started 8\na-slave2 started 9\n"


def daemons(text: str, over_ssh: bool = True) -> Daemons:
    read = Daemons(PLACES, over_ssh)
    read.read(text)
    return read


@pytest.mark.parametrize(
    ("text", "well", "failed"),
    [
        (BOTH + "a-slave2 0\na-slave1 0\n", "", ""),
        (BOTH + "a-slave2 137\n", KILLED, KILLED),
        (BOTH + "a-slave2 255\n", CUT_OFF, CUT_OFF),
        # What MPICH's do when the others' ranks failed.
        (BOTH + "a-slave2 0\na-slave1 7\n", "the MPI daemon on a-slave1 on node1 ended with 7", ""),
        (BOTH + "a-slave2 0\n", "the MPI daemon on a-slave1 on node1 did not end when mpirun did", ""),
        # A script calls several, of which each counts.
        (BOTH + "a-slave2 0\na-slave1 0\n" + BOTH + "a-slave1 0\na-slave2 0\n", "", ""),
    ],
)
def test_a_run_ends_well_if_its_daemons_do(text: str, well: str, failed: str) -> None:
    assert daemons(text).finding(strict=True) == well
    assert daemons(text).finding(strict=False) == failed


def test_only_ssh_answers_255_for_others() -> None:
    found = daemons("a-slave1 started\na-slave1 255\n", over_ssh=False)
    assert found.finding(strict=True) == "the MPI daemon on a-slave1 on node1 ended with 255"
    assert found.unanswered == []


def test_a_slave_that_is_lost_has_no_daemons_to_be_waited_for() -> None:
    found = daemons(BOTH + "a-slave1 0\n")
    assert found.running == ["a-slave2"]
    found.lose("a-slave2")
    assert found.running == []


def test_what_a_script_writes_among_the_notes_is_nothing(tmp_path: Path) -> None:
    assert list(noted_in(tmp_path / "daemons")) == []
    (tmp_path / "daemons").write_bytes(b"\xff \n\nb-slave1 137\na-slave1 \xd9\xa3\na-slave1 " + b"9" * 5000)
    known = Daemons(PLACES, over_ssh=True)
    for slave, word in noted_in(tmp_path / "daemons"):
        known.note(slave, word)
    assert known.finding(strict=True) == ""


OPEN_MPI = """\
prterun noticed that process rank 1 with PID 8 on node a-slave2 exited on
signal 11 (Segmentation fault).
"""
MPICH = """\
=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES
=   PID 6 RUNNING AT a-slave2
=   EXIT CODE: 9
=   CLEANING UP REMAINING PROCESSES
===================================================================================
[proxy:2@a-slave3] HYDT_dmxu_poll_wait_for_event (demux_poll.c:76): callback returned error status
YOUR APPLICATION TERMINATED WITH THE EXIT STRING: Killed (signal 9)
"""


@pytest.mark.parametrize(
    ("code", "said", "told"),
    [
        (139, OPEN_MPI, "rank 1 on a-slave2 on node2: killed by signal 11 (SIGSEGV)"),
        (137, MPICH, "a rank on a-slave2 on node2: killed by signal 9 (SIGKILL)"),
        (11, OPEN_MPI, ""),
        (137, OPEN_MPI, ""),
        (139, OPEN_MPI.replace("a-slave2", "elsewhere"), ""),
        (139, "", ""),
    ],
)
def test_mpirun_is_believed_which_rank_was_killed_if_its_exit_code_says_so(
    tmp_path: Path, code: int, said: str, told: str
) -> None:
    (tmp_path / "output").write_text(said)
    assert killed_rank(code, str(tmp_path / "output"), PLACES) == told


def test_signals_have_names() -> None:
    codes = (3, 128, 139, 128 + signal.SIGRTMIN + 1, 255)
    assert [in_words(code) for code in codes] == [
        "ended with 3", "ended with 128", "was killed by signal 11 (SIGSEGV)", "was killed by signal 35",
        "ended with 255",
    ]  # fmt: skip
    assert lost_in_words(126) == "was lost (exit 126)"
