"""Times in records: ISO 8601 in UTC, with milliseconds."""

from __future__ import annotations

import time
from datetime import datetime, timezone


def now() -> str:
    return iso(time.time())


def iso(seconds: float) -> str:
    """Format seconds since 1970."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds")


def seconds(text: str) -> float:
    """Return an ISO 8601 time as seconds since 1970. A time without a zone is UTC."""
    then = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (then if then.tzinfo else then.replace(tzinfo=timezone.utc)).timestamp()
