"""The measurements of one machine, one after another, with what they were measured on: `make bench`.

Those of nodes and fleet need a lab: `nodes_*.py` and `fleet_push.py` are run by hand.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

HERE = Path(__file__).parent
PARTS = ("push", "gather", "slaves", "transport", "placement", "container_push", "container_mpi")


def main() -> int:
    today = datetime.now(timezone.utc)
    print(f"{today:%Y-%m-%d}, {platform.platform()}, {os.cpu_count()} cores, load {load()}")
    failed = 0
    for part in PARTS:
        print(f"\n{part}", flush=True)
        failed |= subprocess.run([sys.executable, str(HERE / f"{part}.py")], check=False).returncode
    return failed


def load() -> str:
    """Of the last minute, five and fifteen."""
    return ", ".join(f"{value:.1f}" for value in os.getloadavg())


if __name__ == "__main__":
    sys.exit(main())
