"""The runner of a run in containers: `runner.py FOLDER LOCK`, on the standard library alone.

Its containers outlive it when it is killed; the engine then finds them by their labels.
"""

from __future__ import annotations

import os
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from units.containers.backend import ContainerBackend
from units.supervisor.runner import Runner, take_folder


def main(folder: str, lock: str) -> None:
    spec, streams = take_folder(folder, lock)
    Runner(spec, streams, ContainerBackend(folder, spec, streams), int(lock)).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
