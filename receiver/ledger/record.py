"""A run's record as others read it: the command, and whoever watches etcd. Fields are only ever added."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from receiver.ledger.ledger import Run

SCHEMA = 2


def as_json(run: Run) -> dict[str, Any]:
    """`commit_id` and `created` are what `commit` and `accepted` were called once."""
    older = {"commit_id": run.commit_id, "created": run.accepted}
    return {"schema": SCHEMA, **asdict(run), "commit": run.commit_id, "hosts": run.slaves, **older}
