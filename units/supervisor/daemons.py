"""The daemons that mpirun's launcher started on slaves, without which it is not to be taken at its word."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from units.supervisor.exitcode import in_words, signal_of

STARTED = "started"
_MOST = 1 << 20
_EXIT_CODE = re.compile(r"\d{1,3}", re.ASCII)
# What ssh answers when it has no exit code of what it was to run.
_NO_ANSWER = 255


def noted(text: str) -> Iterator[tuple[str, str]]:
    """Lines of `SLAVE started` and `SLAVE EXITCODE`; agents that note them may add more words."""
    for line in text.splitlines():
        if len(words := line.split()) > 1:
            yield words[0], words[1]


def noted_in(path: Path) -> Iterator[tuple[str, str]]:
    """What a file has of it; a script that calls mpirun may have written anything there."""
    try:
        with path.open(errors="replace") as file:
            yield from noted(file.read(_MOST))
    except FileNotFoundError:
        return


class Daemons:
    """What is known of them, by their slave's hostname.

    `places` says how to call each slave. With `over_ssh` ssh answers for them.
    """

    def __init__(self, places: Mapping[str, str], over_ssh: bool) -> None:
        self._places = places
        self._over_ssh = over_ssh
        self._running: Counter[str] = Counter()
        self._ended: list[tuple[str, int]] = []

    def read(self, text: str) -> None:
        """What agents have noted."""
        for slave, word in noted(text):
            self.note(slave, word)

    def note(self, slave: str, word: str) -> None:
        """One more has `started` on a slave, or ended there with the exit code in `word`."""
        if slave not in self._places:
            return
        if word == STARTED:
            self._running[slave] += 1
        elif _EXIT_CODE.fullmatch(word):
            self._running[slave] -= 1
            self._ended.append((slave, int(word)))

    def lose(self, slave: str) -> None:
        """The slave has ended, and all in it."""
        self._running.pop(slave, None)

    @property
    def running(self) -> list[str]:
        """Slaves on which some have not ended."""
        return [slave for slave, number in self._running.items() if number > 0]

    @property
    def unanswered(self) -> list[str]:
        """Slaves that ssh had no answer from: they may be gone."""
        return [slave for slave, code in self._ended if self._is_unanswered(code)]

    def _is_unanswered(self, code: int) -> bool:
        return self._over_ssh and code == _NO_ANSWER

    @property
    def killed(self) -> str:
        """What became of one that was killed, which no mpirun does; empty where none was."""
        found = (one for one in self._ended if signal_of(one[1]))
        return next((self._told(slave, code) for slave, code in found), "")

    def finding(self, strict: bool) -> str:
        """Why the run did not end well, whatever mpirun says; empty where nothing is known against it.

        Of an mpirun that failed, daemons may have ended with another exit code than 0. Where it did not,
        which is `strict`, all have to have ended, and with 0.
        """
        if self.killed:
            return self.killed
        bad = (one for one in self._ended if one[1] and (strict or self._is_unanswered(one[1])))
        if told := next((self._told(slave, code) for slave, code in bad), ""):
            return told
        late = self.running if strict else []
        return f"the MPI daemon on {self._places[late[0]]} did not end when mpirun did" if late else ""

    def _told(self, slave: str, code: int) -> str:
        if self._is_unanswered(code):
            return f"sshd on {self._places[slave]} ended, or cannot be reached any more"
        return f"the MPI daemon on {self._places[slave]} {in_words(code)}"
