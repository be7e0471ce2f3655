"""The traces of an accepted push beside its row in the ledger: folder, kept commit and story."""

from __future__ import annotations

from collections.abc import Sequence

from receiver import repository
from receiver.home.paths import Home
from receiver.ledger.ledger import Run
from receiver.names import highest_number
from receiver.runs.story import Story


class Acceptance:
    """One per daemon. Its methods can be called from any thread."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._numbers: dict[str, int] = {}

    def look_up(self, app: str, commit: str) -> tuple[str, int]:
        """Return the commit's subject, and the highest number that a run of the app can have had.

        If the ledger was restored from a backup, runs after that backup left folders and kept commits.
        These are read once per app: from then on the ledger has all runs.
        """
        with repository.opened(self._home.repository(app)) as repo:
            if app not in self._numbers:
                self._numbers[app] = max(repository.last_recorded(repo), self._last_folder(app))
            return repository.subject(repo, commit), self._numbers[app]

    def _last_folder(self, app: str) -> int:
        runs = self._home.runs(app)
        return highest_number(path.name for path in runs.iterdir()) if runs.is_dir() else 0

    def make_folder(self, run: Run) -> None:
        """Create the run's folder, before the run is visible to anyone who could follow it."""
        self._home.run(run.app, run.number).mkdir(parents=True, exist_ok=True)

    def record(self, run: Run, lines: Sequence[str]) -> int:
        """Keep the commit and begin the story with the lines shown so far. Return its size in bytes."""
        with repository.opened(self._home.repository(run.app)) as repo:
            repository.record(repo, run.number, run.commit_id)
        story = Story(self._home.run(run.app, run.number))
        story.say(*lines)
        return story.size()

    def forget(self, app: str) -> None:
        """Drop the cached number of an app that was destroyed with all its traces."""
        self._numbers.pop(app, None)
