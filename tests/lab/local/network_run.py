"""Run by the tests of networks, in a network namespace of theirs: a program over 4 slaves x 2 ranks.

`network_run.py ROOT STACKS FLAVOUR TREE PROGRAM...` prints the outcome and the output as JSON.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[2]), str(HERE.parents[1])]

from support.local_engine import EngineLab  # noqa: E402

from units.launching import Machine  # noqa: E402


def main(root: str, stacks: str, flavour: str, tree: str, *program: str) -> None:
    # The machine is asked in here: only this process is in the test's network.
    machine = replace(Machine.here(), cores=2)
    lab = EngineLab(Path(root), Path(stacks), machine)
    ended = lab.run(replace(lab.mpi_job(Path(tree), flavour, (2, 2, 2, 2), *program), timeout=100))
    print(json.dumps({**asdict(ended.outcome), "text": ended.text, "interfaces": machine.interfaces}))


if __name__ == "__main__":
    main(*sys.argv[1:])
