"""The receiver's durable record of apps, releases and runs, in SQLite."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from receiver import clock
from receiver.errors import ReceiverError
from receiver.ledger import schema

ENDED = ("succeeded", "failed", "cancelled", "timed out", "replaced")


@dataclass(frozen=True)
class App:
    """An app. `config` has keys of `apps.CONFIG`, `created` is ISO 8601 in UTC."""

    name: str
    config: dict[str, Any]
    created: str


@dataclass(frozen=True)
class Release:
    """A release. `image` is a digest, `plan` the plan's canonical JSON, `created` ISO 8601 in UTC."""

    app: str
    number: int
    commit_id: str
    image: str
    plan: str
    created: str


@dataclass(frozen=True)
class Run:
    """One execution of a release, from its acceptance on.

    `release` is None until it is known; `seconds` are the durations by phase. States are recording, accepted,
    waiting, building, starting, running, and those of ENDED. Times are ISO 8601 in UTC: `started` is when
    mpirun, the script or the processes began. `slots` has the ranks of each slave, `env` the names of the
    program's variables, `command` the commands as a person would type them.
    """

    app: str
    number: int
    commit_id: str
    release: int | None = None
    options: dict[str, str] = field(default_factory=dict)
    state: str = "accepted"
    exit_code: int | None = None
    reason: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    slaves: int = 0
    np: int = 0
    service: bool = False
    accepted: str = ""
    started: str | None = None
    ended: str | None = None
    who: str = ""
    subject: str = ""
    slots: tuple[int, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    command: tuple[str, ...] = ()

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED


def in_progress(path: Path) -> list[tuple[str, int]]:
    """Return app and number of the runs in the ledger at `path` that have not ended, oldest first.

    The ledger is not migrated: a receiver of an older nap can have it open.
    """
    if not path.exists():
        return []
    marks = ", ".join("?" * len(ENDED))
    query = f"SELECT app, number FROM run WHERE state NOT IN ({marks}) ORDER BY rowid"
    with told(path), closing(sqlite3.connect(path)) as database:
        if not schema.version(database):
            return []
        return [(str(app), int(number)) for app, number in database.execute(query, ENDED)]


def check(path: Path) -> None:
    """Raise ReceiverError for a damaged ledger. A missing one is fine."""
    if path.exists():
        with told(path), closing(sqlite3.connect(path)) as database:
            found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise sqlite3.DatabaseError(found)


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Raise SQLite's errors as ReceiverError with a remedy, except violated constraints."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.OperationalError as error:
        if path.is_dir() or path.is_symlink():
            raise _damaged(path, error) from error
        raise ReceiverError(f"the ledger {path} cannot be written: {error}", f"see: df {path}") from error
    except sqlite3.DatabaseError as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ReceiverError:
    aside = path.with_name("damaged")
    return ReceiverError(
        f"the ledger {path} is damaged: {' '.join(str(error).split())}",
        f"nap down; mkdir {aside}; mv {path}* {aside}; put a backup in its place, if there is one; nap up "
        "(repositories and runs' folders stay)",
    )


@dataclass(frozen=True)
class Origin:
    """The origin of a new run: its pusher (`who`), its commit's subject, and its first state.

    Its number will be above `above`. `before` is called with the run before it is recorded.
    """

    state: str = "accepted"
    who: str = ""
    subject: str = ""
    above: int = 0
    before: Callable[[Run], None] = lambda _: None


class Ledger:
    """One connection, used by one thread at a time. Each method is a transaction, on disk when it returns.

    Methods raise ReceiverError for unknown apps, releases and runs, and when the ledger cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        with told(path):
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._database.row_factory = sqlite3.Row
            for pragma in ("journal_mode = WAL", "foreign_keys = ON", "synchronous = FULL"):
                self._database.execute(f"PRAGMA {pragma}")
            self._prepare()

    def close(self) -> None:
        self._database.close()

    def _prepare(self) -> None:
        version, known = schema.version(self._database), schema.VERSION
        if version > known:
            raise ReceiverError(
                f"the ledger {self._path} is of version {version}, newer than this nap knows ({known})",
                "start the nap that wrote it",
            )
        schema.migrate(self._database)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, told(self._path):
            try:
                self._database.execute("BEGIN IMMEDIATE")
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def _rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        with self._lock, told(self._path):
            return self._database.execute(query, values).fetchall()

    def add_app(self, name: str) -> App:
        app = App(name, {}, clock.now())
        with self._transaction() as database:
            try:
                database.execute("INSERT INTO app VALUES (?, ?, ?)", (app.name, "{}", app.created))
            except sqlite3.IntegrityError as error:
                raise ReceiverError(f"there is an app {name} already", "see: nap apps") from error
        return app

    def remove_app(self, name: str) -> None:
        with self._transaction() as database:
            database.execute("DELETE FROM run WHERE app = ?", (name,))
            database.execute("DELETE FROM app WHERE name = ?", (name,))

    def apps(self) -> list[App]:
        return [_app(row) for row in self._rows("SELECT * FROM app ORDER BY name")]

    def app(self, name: str) -> App:
        rows = self._rows("SELECT * FROM app WHERE name = ?", name)
        if not rows:
            raise ReceiverError(f"there is no app {name}", "see: nap apps; a new one: nap create NAME")
        return _app(rows[0])

    def configure(self, name: str, change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Let `change` modify the app's settings, and return them. No other change comes in between."""
        with self._transaction() as database:
            config = dict(self.app(name).config)
            change(config)
            database.execute("UPDATE app SET config = ? WHERE name = ?", (json.dumps(config), name))
        return config

    def release(self, app: str, commit_id: str, image: str, plan: str) -> Release:
        """Return the app's newest release if it has the same commit, image and plan, else a new one."""
        with self._transaction() as database:
            newest = self._newest_release(app)
            if newest and (newest.commit_id, newest.image, newest.plan) == (commit_id, image, plan):
                return newest
            number = newest.number + 1 if newest else 1
            release = Release(app, number, commit_id, image, plan, clock.now())
            database.execute("INSERT INTO release VALUES (?, ?, ?, ?, ?, ?)", tuple(asdict(release).values()))
        return release

    def _newest_release(self, app: str) -> Release | None:
        releases = self._rows("SELECT * FROM release WHERE app = ? ORDER BY number DESC LIMIT 1", app)
        return Release(*releases[0]) if releases else None

    def releases(self, app: str) -> list[Release]:
        rows = self._rows("SELECT * FROM release WHERE app = ? ORDER BY number", self.app(app).name)
        return [Release(*row) for row in rows]

    def get_release(self, app: str, number: int | None) -> Release:
        """Return the release of that number, `None` for the newest."""
        releases = self.releases(app)
        chosen = [release for release in releases if number in (None, release.number)]
        if not chosen:
            if number is None:
                raise ReceiverError(f"{app} has no release yet", "git push nap master")
            raise ReceiverError(f"{app} has no release v{number}", f"see: nap releases {app}")
        return chosen[-1]

    def accept(
        self,
        app: str,
        commit_id: str,
        options: Mapping[str, str],
        release: int | None = None,
        origin: Origin = Origin(),
    ) -> Run:
        """Record a new run and return it: from here on the receiver has to carry it out.

        Its number is above all numbers in the ledger. A run in state `recording` does not count as accepted
        yet: its pusher has had no answer.
        """
        with self._transaction() as database:
            highest = database.execute("SELECT max(number) FROM run WHERE app = ?", (app,)).fetchone()[0]
            number = max(highest or 0, origin.above) + 1
            run = Run(
                app, number, commit_id, release, dict(options), origin.state,
                accepted=clock.now(), who=origin.who, subject=origin.subject,
            )  # fmt: skip
            origin.before(run)
            marks = ", ".join("?" * len(fields(Run)))
            database.execute(f"INSERT INTO run ({_COLUMNS}) VALUES ({marks})", _values(run))
        return run

    def update(self, run: Run, **changes: Any) -> Run:
        changed = replace(run, **changes)
        assignments = ", ".join(f"{part.name} = ?" for part in fields(Run))
        with self._transaction() as database:
            database.execute(
                f"UPDATE run SET {assignments} WHERE app = ? AND number = ?",
                (*_values(changed), run.app, run.number),
            )
        return changed

    def runs(self, app: str) -> list[Run]:
        rows = self._rows("SELECT * FROM run WHERE app = ? ORDER BY number", self.app(app).name)
        return [_run(row) for row in rows]

    def run(self, app: str, number: int | None) -> Run:
        """Return the run of that number, `None` for the newest."""
        query = "SELECT * FROM run WHERE app = ? AND (? IS NULL OR number = ?) ORDER BY number DESC LIMIT 1"
        rows = self._rows(query, self.app(app).name, number, number)
        if not rows:
            if number is None:
                raise ReceiverError(f"{app} has not run yet", "git push nap master")
            raise ReceiverError(f"{app} has no run {number}", f"see: nap runs {app}")
        return _run(rows[0])

    def unfinished(self) -> list[Run]:
        """Return the runs of all apps that have not ended, oldest first."""
        marks = ", ".join("?" * len(ENDED))
        rows = self._rows(f"SELECT * FROM run WHERE state NOT IN ({marks}) ORDER BY accepted, number", *ENDED)
        return [_run(row) for row in rows]


_COLUMNS = ", ".join(part.name for part in fields(Run))


def _app(row: sqlite3.Row) -> App:
    return App(row["name"], json.loads(row["config"]), row["created"])


# Columns that are stored as JSON.
_LISTS = ("slots", "args", "env", "command")
_OBJECTS = ("options", "seconds")


def _values(run: Run) -> tuple[object, ...]:
    values = asdict(run)
    values.update({name: json.dumps(values[name]) for name in (*_LISTS, *_OBJECTS)})
    return tuple(values.values())


def _run(row: sqlite3.Row) -> Run:
    values = {part.name: row[part.name] for part in fields(Run)}
    values.update({name: json.loads(row[name]) for name in _OBJECTS})
    values.update({name: tuple(json.loads(row[name])) for name in _LISTS})
    return Run(**{**values, "service": bool(row["service"])})
