"""The first process of a run's capsule: when it ends, every process of the run ends.

    runner.py FOLDER LOCK        (as an enclosure starts it, without `site`; the standard library alone)
"""

from __future__ import annotations

import os
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from units.local.backend import ProcessBackend
from units.supervisor.runner import Runner, take_folder


def main(folder: str, lock: str) -> None:
    spec, streams = take_folder(folder, lock)
    Runner(spec, streams, ProcessBackend(folder, spec, streams), int(lock)).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
