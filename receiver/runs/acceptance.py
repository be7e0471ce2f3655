"""What a push leaves behind when it is accepted, beside its line in the ledger: folder, commit and story."""

from __future__ import annotations

from collections.abc import Sequence

from receiver import repository
from receiver.home.paths import Home
from receiver.ledger.ledger import Run
from receiver.names import highest_number
from receiver.runs.story import Story


class Acceptance:
    """One a daemon. Its methods may be called by any thread."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._numbers: dict[str, int] = {}

    def look_up(self, app: str, commit: str) -> tuple[str, int]:
        """The commit's subject, and the highest number that a run of the app may have had.

        The ledger may have been restored from a backup: what came after that has left its traces. They
        are looked for once, since from then on the ledger knows of all.
        """
        with repository.opened(self._home.repository(app)) as repo:
            if app not in self._numbers:
                self._numbers[app] = max(repository.last_recorded(repo), self._last_folder(app))
            return repository.subject(repo, commit), self._numbers[app]

    def _last_folder(self, app: str) -> int:
        runs = self._home.runs(app)
        return highest_number(path.name for path in runs.iterdir()) if runs.is_dir() else 0

    def make_folder(self, run: Run) -> None:
        """There before anybody can hear of the run, and follow it."""
        self._home.run(run.app, run.number).mkdir(parents=True, exist_ok=True)

    def record(self, run: Run, lines: Sequence[str]) -> int:
        """Keep the commit, and what was said before: the size of the story."""
        with repository.opened(self._home.repository(run.app)) as repo:
            repository.record(repo, run.number, run.commit_id)
        story = Story(self._home.run(run.app, run.number))
        story.say(*lines)
        return story.size()

    def forget(self, app: str) -> None:
        """It is gone, with all its traces."""
        self._numbers.pop(app, None)
