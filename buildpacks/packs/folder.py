"""Folder packs: Heroku-style buildpacks with bin/detect, bin/compile and bin/release."""

import hashlib
import os
import selectors
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from buildpacks.errors import BuildpackError
from buildpacks.mpi_xml import values
from buildpacks.mpi_xml.manifest import Manifest
from buildpacks.packs import line_ends, profile
from buildpacks.packs.contract import HowToBuild, Released
from buildpacks.plan import Process, Step

STACK = "heroku-24"
_SECONDS = 60
_LONGEST = 1 << 20  # bytes that a pack's program may print per stream; the rest is read and dropped
_SHOWN = 500  # characters of a line in an error
_SOURCED = 'for file in .profile.d/*.sh; do [ -r "$file" ] && . "$file"; done; eval "$1"'


@dataclass(frozen=True)
class Call:
    """A run of a pack's program in `tree`, which it may change only if `writes`."""

    pack: Path
    verb: str
    tree: Path
    writes: bool

    @property
    def argv(self) -> tuple[str, ...]:
        """The argv that runs it without enclosure."""
        return (str(self.pack / "bin" / self.verb), str(self.tree))


# Returns the argv that runs a call enclosed: it can reach nothing else and leaves no process behind.
Enclose = Callable[[Call], Sequence[str]]
# The exit code of an enclosure that cannot execute the call's program.
NOT_RUN = 125


def in_the_open(call: Call) -> Sequence[str]:
    """Return the argv without enclosure, for users' own packs on their own machine."""
    return call.argv


@dataclass(frozen=True)
class Pack:
    """A folder pack, whose programs run as `enclose` decides."""

    path: Path
    enclose: Enclose = in_the_open

    @property
    def name(self) -> str:
        """The name of the pack's folder."""
        return self.path.name

    def builds(self, tree: Path) -> bool:
        """Return whether bin/detect exits with 0. Raise BuildpackError when it does not run properly."""
        self._refuse_crlf("detect")
        return self._run(Call(self.path, "detect", tree, writes=False)).returncode == 0

    def build(self, _tree: Path, manifest: Manifest | None) -> HowToBuild:
        """Return a build by bin/compile in the tree as pushed, before `src/` moves up."""
        self._refuse_crlf("compile")
        self._refuse_crlf("release")
        program = str(self.path / "bin" / "compile")
        argv = ("env", f"STACK={STACK}", program, "{tree}", "{cache}", "{env}")
        return HowToBuild(
            built_by=self.name,
            steps=(Step(argv, f"{self.name}/bin/compile"),),
            products=(manifest.to,) if manifest and manifest.to else (),
            env=(("STACK", STACK),),
            pack=f"{self.name}@{digest(self.path)}",
        )

    def _refuse_crlf(self, verb: str) -> None:
        """Raise BuildpackError for CRLF line ends, which the kernel would report as a missing file."""
        if line_ends.has_crlf(self.path / "bin", verb, is_first=True):
            sentence = f"the buildpack {self.name}'s bin/{verb} has Windows line ends (CRLF)"
            raise BuildpackError(sentence, line_ends.hint(str(self.path / "bin" / verb)))

    def release(self, tree: Path, alone: bool) -> Released:
        """Return the processes and variables bin/release prints. Raise BuildpackError for other output."""
        answer: Mapping[str, Mapping[str, str]] = {}
        where = f"{self.name}/bin/release"
        if (self.path / "bin" / "release").exists():
            answer = _parse(self._run(Call(self.path, "release", tree, writes=True)), where)
        lines = answer.get("default_process_types", {})
        processes = tuple(_process(name, line, where) for name, line in lines.items())
        variables = _variables(answer.get("config_vars", {}), where)
        if alone and not processes:
            raise BuildpackError(
                f"the buildpack {self.name} does not say how to run the tree",
                "Add a profile with a line of `name: command`.",
            )
        return Released(processes, variables)

    def _run(self, call: Call) -> "subprocess.CompletedProcess[bytes]":
        env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(call.tree), "STACK": STACK}
        try:
            answer = _answer(self.enclose(call), env, call.tree)
        except OSError as error:
            raise self._no_program(call, error.strerror or str(error)) from None
        except subprocess.TimeoutExpired:
            raise self._out_of_hand(call, f"took longer than {_SECONDS} s") from None
        if answer.returncode == NOT_RUN:
            raise self._no_program(call, _last_line(answer.stderr))
        if len(answer.stdout) > _LONGEST:
            raise self._out_of_hand(call, f"printed more than {_LONGEST >> 20} MB")
        return answer

    def _out_of_hand(self, call: Call, what: str) -> BuildpackError:
        sentence = f"the buildpack {self.name}'s bin/{call.verb} {what}"
        return BuildpackError(sentence, "Try it by hand in a clone of the app.")

    def _no_program(self, call: Call, why: str) -> BuildpackError:
        sentence = f"the buildpack {self.name} has no bin/{call.verb} that runs ({why})"
        return BuildpackError(sentence, f"Make it executable: chmod +x {call.argv[0]}")


def _answer(
    argv: Sequence[str], env: Mapping[str, str], tree: Path
) -> "subprocess.CompletedProcess[bytes]":
    """Run `argv` as `subprocess.run` does, but keep at most `_LONGEST` + 1 bytes of each output in memory."""
    deadline = time.monotonic() + _SECONDS
    with (
        subprocess.Popen(
            argv, env=env, cwd=tree, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process,
        selectors.DefaultSelector() as pipes,
    ):
        kept = [bytearray(), bytearray()]
        for pipe, data in zip((process.stdout, process.stderr), kept, strict=True):
            assert pipe
            pipes.register(pipe, selectors.EVENT_READ, data)
        try:
            while pipes.get_map():
                for key, _ in pipes.select(_left(argv, deadline)):
                    if not (more := os.read(key.fd, 1 << 16)):
                        pipes.unregister(key.fileobj)
                    # One byte over the limit is kept, so that the caller recognizes longer output.
                    key.data.extend(more[: _LONGEST + 1 - len(key.data)])
            process.wait(_left(argv, deadline))
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return subprocess.CompletedProcess(argv, process.returncode, *map(bytes, kept))


def _left(argv: Sequence[str], deadline: float) -> float:
    """Return the seconds until `deadline`. Raise TimeoutExpired when it has passed."""
    if (left := deadline - time.monotonic()) <= 0:
        raise subprocess.TimeoutExpired(argv, _SECONDS)
    return left


def packs(folders: Sequence[Path], enclose: Enclose = in_the_open) -> tuple[Pack, ...]:
    """Return the packs among `folders`, in their order. A folder without bin/detect is not a pack."""
    return tuple(Pack(path, enclose) for path in folders if (path / "bin" / "detect").is_file())


def command(process: Process, pack: str | None) -> tuple[str, ...]:
    """Return the argv for a profile's line, run in the app's folder; empty for an image's own command.

    With a pack, the app's `.profile.d/*.sh` are sourced first.
    """
    if not process.command:
        return ()
    if pack is None:
        return ("sh", "-c", process.command)
    return ("bash", "-c", _SOURCED, "nap", process.command)


def _parse(answer: "subprocess.CompletedProcess[bytes]", name: str) -> dict[str, dict[str, str]]:
    import yaml

    if answer.returncode:
        raise BuildpackError(f"{name} ended with exit code {answer.returncode}", _last_line(answer.stderr))
    try:
        found = yaml.load(answer.stdout, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError):
        raise BuildpackError(f"{name} does not print YAML", "Try it by hand.") from None
    sections = found if isinstance(found, dict) else {}
    return {
        key: _strings(sections.get(key) or {}, f"{name}: {key}")
        for key in ("default_process_types", "config_vars")
    }


def _last_line(text: bytes) -> str:
    return "".join(text.decode("utf-8", "replace").strip().splitlines()[-1:])[-_SHOWN:]


def _process(name: str, line: str, where: str) -> Process:
    """Return the process, checked like a profile's, whose text has no control characters."""
    try:
        return profile.checked(name, values.text(line), where)
    except ValueError as error:
        raise BuildpackError(f"{where}: the process {name!r}: {error}", "Mend the buildpack.") from None


def _variables(found: Mapping[str, str], where: str) -> tuple[tuple[str, str], ...]:
    """Return the variables, checked like those of an mpi.xml."""
    try:
        return values.environment(found)
    except ValueError as error:
        raise BuildpackError(f"{where}: config_vars: {error}", "Mend the buildpack.") from None


def _strings(section: Any, where: str) -> dict[str, str]:
    if not isinstance(section, dict) or not all(
        isinstance(item, str) for pair in section.items() for item in pair
    ):
        raise BuildpackError(f"{where} is not a block of `name: text` lines", "Mend the buildpack.")
    return section


def digest(path: Path) -> str:
    """Return a short digest of a pack's file names, modes and contents, without a checkout's .git."""
    total = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path)
        if ".git" not in name.parts:
            total.update(f"{name}\0".encode("utf-8", "surrogateescape") + _content(file))
    return total.hexdigest()[:12]


def _content(file: Path) -> bytes:
    """Return a file's part of the digest.

    A file that cannot be read counts by its errno. Whether that matters is up to the pack's own programs.
    """
    try:
        head = str(file.readlink()) if file.is_symlink() else ""
        content = file.read_bytes() if file.is_file() else b""
        head += f"\0{file.stat().st_mode & 0o111:o}\0{len(content)}\0"
    except OSError as error:
        head, content = str(error.errno), b""
    return head.encode("utf-8", "surrogateescape") + content
