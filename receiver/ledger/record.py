"""A run's record for the `nap` command and for watchers of etcd. Fields are added, never removed."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from receiver.ledger.ledger import Run

SCHEMA = 2


def as_json(run: Run) -> dict[str, Any]:
    """Return the record as JSON. `commit_id` and `created` are older names of `commit` and `accepted`."""
    older = {"commit_id": run.commit_id, "created": run.accepted}
    return {"schema": SCHEMA, **asdict(run), "commit": run.commit_id, "hosts": run.slaves, **older}
