"""Start one process of a run in its capsule."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Callable, Mapping
from typing import NamedTuple

from units.capsule import namespaces
from units.capsule.inside import Capsule
from units.supervisor.unit import Unit

# The descriptor for the internal warnings of Open MPI 5's launcher, such as one when a child is faster than
# the launcher itself. Its messages to users do not go there.
REMARKS = 99
# The descriptor on which `slave.sh` reports mpirun's daemons. What it starts does not inherit it.
REPORT = 4


class Ends(NamedTuple):
    """The runner's descriptors: the program's output, the units' log, and the slaves' reports."""

    output: int
    log: int
    report: int


def spawn(unit: Unit, capsule: Capsule, folder: str, ends: Ends) -> int:
    """Start a unit's process, with its streams in the output, and return its PID after a successful exec.

    Raise OSError when the namespaces, their setup or the exec failed.
    """
    report, answer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(report)
        _in_child(answer, lambda: _between(unit, capsule, folder, ends, answer))
    os.close(answer)
    os.waitpid(child, 0)
    return _started(report)


def _between(unit: Unit, capsule: Capsule, folder: str, ends: Ends, answer: int) -> None:
    """Between the forks: enter new namespaces and fork their first process, which the runner inherits."""
    capsule.enter(unit, folder)
    pid = os.fork()
    if pid == 0:
        _in_child(answer, lambda: _execute(unit, capsule, ends))
    os.write(answer, f"{pid}\n".encode())
    os._exit(0)


def _execute(unit: Unit, capsule: Capsule, ends: Ends) -> None:
    os.setsid()
    capsule.settle(unit)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    null = os.open("/dev/null", os.O_RDONLY)
    for source, target in ((null, 0), (ends.output, 1), (ends.output, 2)):
        os.dup2(source, target)
    os.chdir(unit.env["PWD"])
    namespaces.drop_privileges()
    env = {**unit.env, **capsule.env(unit)}
    if unit.is_slave:
        env = _held_back(env)
        os.dup2(ends.report, REPORT)
    elif unit.kind == "master":
        os.dup2(ends.log, REMARKS)
        env["PMIX_OUTPUT_STDERR_FD"] = str(REMARKS)
    os.execvpe(unit.argv[0], unit.argv, env)


def _held_back(env: Mapping[str, str]) -> dict[str, str]:
    """Return a slave's own environment, with the program's in one variable as lines for `slave.sh`.

    The shell and its tools must be the machine's, whatever PATH or LD_PRELOAD the program has.
    """
    own = {name: value for name, value in env.items() if name.startswith("NAP_")}
    known = ((name, value) for name, value in env.items() if name.isidentifier())
    exports = (f"command export {name}={shlex.quote(value)}" for name, value in known)
    return {**own, "PATH": os.environ.get("PATH", os.defpath), "NAP_ENVIRONMENT": "\n".join(exports)}


def _in_child(answer: int, steps: Callable[[], None]) -> None:
    """Run the child's side of a fork, which must never return into the parent's code."""
    try:
        steps()
    except OSError as error:
        os.write(answer, f"!{error.strerror or error}\n".encode())
    finally:
        os._exit(127)


def _started(report: int) -> int:
    """Read until the exec closes the pipe. A PID alone means success; raise OSError for a failure."""
    with os.fdopen(report) as lines:
        answers = lines.read().split("\n")
    failure = next((line[1:] for line in answers if line.startswith("!")), None)
    if failure is not None:
        raise OSError(failure)
    return int(answers[0])
