"""The daemons that mpirun's launcher started on slaves: mpirun's exit code alone is not reliable."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from units.supervisor.exitcode import in_words, signal_of

STARTED = "started"
_MOST = 1 << 20
_EXIT_CODE = re.compile(r"\d{1,3}", re.ASCII)
# ssh's exit code when it has none of the remote command.
_NO_ANSWER = 255


def noted(text: str) -> Iterator[tuple[str, str]]:
    """Yield slave and word of each line `SLAVE started` or `SLAVE EXITCODE`. Further words are ignored."""
    for line in text.splitlines():
        if len(words := line.split()) > 1:
            yield words[0], words[1]


def noted_in(path: Path) -> Iterator[tuple[str, str]]:
    """Yield what `noted` finds in the first MiB of a file, nothing when there is no file.

    A script that calls mpirun can write anything there.
    """
    try:
        with path.open(errors="replace") as file:
            yield from noted(file.read(_MOST))
    except FileNotFoundError:
        return


class Daemons:
    """The state of mpirun's daemons, by their slave's hostname.

    `places` has the displayed name of each slave. With `over_ssh` the exit codes are ssh's.
    """

    def __init__(self, places: Mapping[str, str], over_ssh: bool) -> None:
        self._places = places
        self._over_ssh = over_ssh
        self._running: Counter[str] = Counter()
        self._ended: list[tuple[str, int]] = []

    def read(self, text: str) -> None:
        """Take in the lines that agents have noted: see `noted`."""
        for slave, word in noted(text):
            self.note(slave, word)

    def note(self, slave: str, word: str) -> None:
        """Note that a daemon has `started` on a slave, or has ended there with the exit code in `word`.

        Other words and unknown slaves are ignored.
        """
        if slave not in self._places:
            return
        if word == STARTED:
            self._running[slave] += 1
        elif _EXIT_CODE.fullmatch(word):
            self._running[slave] -= 1
            self._ended.append((slave, int(word)))

    def lose(self, slave: str) -> None:
        """Forget the running daemons of a slave that has ended."""
        self._running.pop(slave, None)

    @property
    def running(self) -> list[str]:
        """The slaves with daemons that have not ended."""
        return [slave for slave, number in self._running.items() if number > 0]

    @property
    def unanswered(self) -> list[str]:
        """The slaves that ssh got no exit code from: they can have ended."""
        return [slave for slave, code in self._ended if self._is_unanswered(code)]

    def _is_unanswered(self, code: int) -> bool:
        return self._over_ssh and code == _NO_ANSWER

    @property
    def killed(self) -> str:
        """A sentence on the first daemon killed by a signal (mpirun kills none), or an empty string."""
        found = (one for one in self._ended if signal_of(one[1]))
        return next((self._told(slave, code) for slave, code in found), "")

    def finding(self, strict: bool) -> str:
        """Return why the run failed, whatever mpirun's exit code is, or an empty string.

        With `strict`, for an mpirun that ended with 0, all daemons must have ended, and with 0. The daemons
        of an mpirun that failed can have ended with other exit codes.
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
