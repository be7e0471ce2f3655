"""What is seen of runs on their nodes and told, however odd a slave's last words are."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest
from test_units_systemd import ONE

from units.systemd import watching
from units.systemd.following import Ended
from units.systemd.links import Link
from units.systemd.placed import Placed, Share
from units.systemd.watching import look

END = watching.__file__.replace("systemd/watching.py", "templates/systemd/end.sh")
SHARES = (Share(ONE.name, ONE.runtime, (), ()),)
PLACED = Placed("hello", 3, "/run/nap/default/hello/3", ONE.name, "openmpi5", (), SHARES)
OTHER = Placed("ring", 1, "/run/nap/default/ring/1", ONE.name, "openmpi5", (), SHARES)
LOST = f"{PLACED.folder} 1 signal killed KILL no memory\n"


class Here:
    """A link to this machine, without being root."""

    def ask(self, argv: Sequence[str], within: float = 0) -> str:
        return subprocess.run(argv, check=True, capture_output=True).stdout.decode(errors="replace")


def seen(folder: Path) -> list[watching.Finding]:
    return look(cast(Link, Here()), ONE.name, [str(folder)])


@pytest.mark.parametrize("words", ["50 %\r100 %", "a\fb", "a\u2028b", r"a\nb\c", r"%s \0", ""])
def test_a_slaves_last_words_are_one_finding_whatever_is_in_them(words: str, tmp_path: Path) -> None:
    (tmp_path / "lost").mkdir()
    (tmp_path / "lost" / "1").write_text(f"signal killed KILL {words}\n")
    (found,) = seen(tmp_path)
    assert (found.slave, found.ended, found.words) == ("1", Ended("signal", "killed", "KILL"), words)


def test_a_slaves_last_words_are_kept_as_it_said_them(tmp_path: Path) -> None:
    journal = tmp_path / "bin" / "journalctl"
    journal.parent.mkdir()
    journal.write_text("""#!/bin/sh\nprintf '%s\\n' 'before' 'C:\\new\\c'\n""")
    journal.chmod(0o755)
    (tmp_path / "end").write_text(Path(END).read_text())
    env = {"PATH": f"{journal.parent}:/usr/bin:/bin", "SERVICE_RESULT": "exit-code", "EXIT_STATUS": "3"}
    subprocess.run(("sh", tmp_path / "end", "1"), env=env, check=True)
    (found,) = seen(tmp_path)
    assert (found.ended, found.words) == (Ended("exit-code", "exited", "3"), r"C:\new\c")


def test_a_signal_without_a_name_is_told_as_a_kill() -> None:
    assert Ended("signal", "killed", "RTMIN+5").code == 137
