"""Start one process of a run: with a hostname, files and, for a slave, process numbers of its own."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence

from units.local import namespaces


class Spawned:
    """How a process is to be started; built by the runner, spent by `start`."""

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        hostname: str,
        folder: str,
        place: str,
        output: int,
        errors: int,
        apart: bool,
    ) -> None:
        self.argv = list(argv)
        self.env = dict(env)
        self.hostname = hostname
        self.folder = folder
        self.place = place
        self.output = output
        self.errors = errors
        self.apart = apart

    def start(self) -> int:
        """The new process's number, once it has been executed; OSError when it could not be."""
        report, answer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(report)
            _in_child(answer, lambda: self._enter(answer))
        os.close(answer)
        os.waitpid(child, 0)
        return _started(report)

    def _enter(self, answer: int) -> None:
        """Between the forks: new namespaces, then their first process, which the runner inherits."""
        os.setsid()
        apart = namespaces.NEWPID if self.apart else 0
        namespaces.unshare(namespaces.NEWNS | namespaces.NEWUTS | apart)
        socket.sethostname(self.hostname)
        namespaces.bind(f"{self.place}/app", f"{self.folder}/app")
        namespaces.bind(f"{self.place}/tmp", f"{self.folder}/tmp")
        pid = os.fork()
        if pid == 0:
            _in_child(answer, self._execute)
        os.write(answer, f"{pid}\n".encode())
        os._exit(0)

    def _execute(self) -> None:
        os.setsid()
        if self.apart:
            namespaces.own_proc()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        null = os.open("/dev/null", os.O_RDONLY)
        for source, target in ((null, 0), (self.output, 1), (self.errors, 2)):
            os.dup2(source, target)
        os.chdir(self.env["PWD"])
        namespaces.drop_privileges()
        os.execvpe(self.argv[0], self.argv, self.env)


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
