"""The etcd value of a slave whose address the runtime has chosen."""

from __future__ import annotations

import json


def announced(value: str, ip: str, port: int) -> str:
    """Return `value`, a member as JSON, with its address and port; empty stays empty."""
    return json.dumps({**json.loads(value), "ip": ip, "port": port}, separators=(",", ":")) if value else ""
