"""Start one process of a run, as its capsule has it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from units.local import namespaces
from units.local.capsule import Capsule
from units.running.unit import Unit

# Where Open MPI 5's launcher is told to put its remarks to itself, such as a warning when a child of its
# was faster than it is; what it has to say to people does not go there.
REMARKS = 99


def spawn(unit: Unit, capsule: Capsule, folder: str, output: int, log: int) -> int:
    """The process's number once it has been executed, its streams in `output`; OSError if it was not."""
    report, answer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(report)
        _in_child(answer, lambda: _between(unit, capsule, folder, (output, log), answer))
    os.close(answer)
    os.waitpid(child, 0)
    return _started(report)


def _between(unit: Unit, capsule: Capsule, folder: str, streams: tuple[int, int], answer: int) -> None:
    """Between the forks: new namespaces, then their first process, which the runner inherits."""
    capsule.enter(unit, folder)
    pid = os.fork()
    if pid == 0:
        _in_child(answer, lambda: _execute(unit, capsule, *streams))
    os.write(answer, f"{pid}\n".encode())
    os._exit(0)


def _execute(unit: Unit, capsule: Capsule, output: int, log: int) -> None:
    os.setsid()
    capsule.settle(unit)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    null = os.open("/dev/null", os.O_RDONLY)
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.chdir(unit.env["PWD"])
    namespaces.drop_privileges()
    env = {**unit.env, **capsule.env(unit)}
    if unit.kind == "master":
        os.dup2(log, REMARKS)
        env["PMIX_OUTPUT_STDERR_FD"] = str(REMARKS)
    os.execvpe(unit.argv[0], unit.argv, env)


def _in_child(answer: int, steps: Callable[[], None]) -> None:
    """Run the child's side of a fork, which must never come back into the parent's code."""
    try:
        steps()
    except OSError as error:
        os.write(answer, f"!{error.strerror or error}\n".encode())
    finally:
        os._exit(127)


def _started(report: int) -> int:
    """Read up to the execution, which closes the pipe: a number alone is a success."""
    with os.fdopen(report) as lines:
        answers = lines.read().split("\n")
    failure = next((line[1:] for line in answers if line.startswith("!")), None)
    if failure is not None:
        raise OSError(failure)
    return int(answers[0])
