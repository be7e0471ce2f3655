"""The ledger's tables, as migration steps. A new ledger takes all steps, an old one those it lacks."""

from __future__ import annotations

import sqlite3

_FIRST = """
CREATE TABLE app (
    name TEXT PRIMARY KEY,
    config TEXT NOT NULL,
    created TEXT NOT NULL
);
CREATE TABLE release (
    app TEXT NOT NULL REFERENCES app(name) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    commit_id TEXT NOT NULL,
    image TEXT NOT NULL,
    plan TEXT NOT NULL,
    created TEXT NOT NULL,
    PRIMARY KEY (app, number)
);
CREATE TABLE run (
    app TEXT NOT NULL REFERENCES app(name) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    commit_id TEXT NOT NULL,
    release INTEGER,
    options TEXT NOT NULL,
    state TEXT NOT NULL,
    exit_code INTEGER,
    reason TEXT NOT NULL,
    seconds TEXT NOT NULL,
    slaves INTEGER NOT NULL,
    np INTEGER NOT NULL,
    service INTEGER NOT NULL,
    created TEXT NOT NULL,
    PRIMARY KEY (app, number),
    FOREIGN KEY (app, release) REFERENCES release(app, number)
);
"""

# Details and times of a run. Runs before this step have the defaults.
_RECORDS = """
ALTER TABLE run RENAME COLUMN created TO accepted;
ALTER TABLE run ADD COLUMN started TEXT;
ALTER TABLE run ADD COLUMN ended TEXT;
ALTER TABLE run ADD COLUMN who TEXT NOT NULL DEFAULT '';
ALTER TABLE run ADD COLUMN subject TEXT NOT NULL DEFAULT '';
ALTER TABLE run ADD COLUMN slots TEXT NOT NULL DEFAULT '[]';
ALTER TABLE run ADD COLUMN args TEXT NOT NULL DEFAULT '[]';
ALTER TABLE run ADD COLUMN env TEXT NOT NULL DEFAULT '[]';
ALTER TABLE run ADD COLUMN command TEXT NOT NULL DEFAULT '[]';
"""

_STEPS = (_FIRST, _RECORDS)
VERSION = len(_STEPS)


def version(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def migrate(database: sqlite3.Connection) -> None:
    """Bring the ledger to this version in one transaction."""
    missing = _STEPS[version(database) :]
    if missing:
        steps = "".join(missing)
        database.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {VERSION}; COMMIT;")
