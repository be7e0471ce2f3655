"""Times as records have them: ISO 8601 in UTC, to the millisecond."""

from __future__ import annotations

import time
from datetime import datetime, timezone


def now() -> str:
    return iso(time.time())


def iso(seconds: float) -> str:
    """Of seconds since 1970."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds")


def seconds(text: str) -> float:
    """Since 1970. A time without zone is UTC."""
    then = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (then if then.tzinfo else then.replace(tzinfo=timezone.utc)).timestamp()
