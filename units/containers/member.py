"""What stands in etcd for a slave whose address its runtime has chosen."""

from __future__ import annotations

import json


def announced(value: str, ip: str, port: int) -> str:
    """`value`, a member as JSON, with its address and port."""
    return json.dumps({**json.loads(value), "ip": ip, "port": port}, separators=(",", ":")) if value else ""
