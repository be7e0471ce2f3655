"""Folder packs: Heroku-style buildpacks with bin/detect, bin/compile and bin/release."""

import hashlib
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from buildpacks.errors import BuildpackError
from buildpacks.kinds import Build, Released
from buildpacks.manifest import Manifest
from buildpacks.plan import Process, Step

STACK = "heroku-24"
_SECONDS = 60
_SOURCED = 'for file in .profile.d/*.sh; do [ -r "$file" ] && . "$file"; done; eval "$1"'


@dataclass(frozen=True)
class Pack:
    """A folder pack; its name is its folder's."""

    path: Path

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    def builds(self, tree: Path) -> bool:
        """What bin/detect answers with its exit code."""
        return self._run("detect", tree).returncode == 0

    def build(self, _tree: Path, manifest: Manifest | None) -> Build:
        """bin/compile, run in the tree as it came."""
        program = str(self.path / "bin" / "compile")
        argv = ("env", f"STACK={STACK}", program, "{tree}", "{cache}", "{env}")
        return Build(
            built_by=self.name,
            steps=(Step(argv, f"{self.name}/bin/compile"),),
            products=(manifest.to,) if manifest and manifest.to else (),
            env=(("STACK", STACK),),
            pack=f"{self.name}@{_digest(self.path)}",
        )

    def release(self, tree: Path, alone: bool) -> Released:
        """The processes and variables bin/release prints."""
        if not (self.path / "bin" / "release").exists():
            answer: dict[str, dict[str, str]] = {}
        else:
            answer = _parse(self._run("release", tree), f"{self.name}/bin/release")
        processes = tuple(
            Process(name, line) for name, line in answer.get("default_process_types", {}).items()
        )
        if alone and not processes:
            raise BuildpackError(
                f"the buildpack {self.name} does not say how to run the tree",
                "Add a profile with a line of `name: command`.",
            )
        return Released(processes, tuple(answer.get("config_vars", {}).items()))

    def _run(self, verb: str, tree: Path) -> "subprocess.CompletedProcess[bytes]":
        argv = [str(self.path / "bin" / verb), str(tree)]
        env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(tree), "STACK": STACK}
        try:
            return subprocess.run(
                argv, env=env, cwd=tree, stdin=subprocess.DEVNULL, capture_output=True,
                timeout=_SECONDS, check=False,
            )  # fmt: skip
        except OSError as error:
            raise BuildpackError(
                f"the buildpack {self.name} has no bin/{verb} that runs ({error.strerror})",
                f"Make it executable: chmod +x {argv[0]}",
            ) from None
        except subprocess.TimeoutExpired:
            raise BuildpackError(
                f"the buildpack {self.name}'s bin/{verb} took longer than {_SECONDS} s",
                "Try it by hand in a clone of the app.",
            ) from None


def packs(folders: Sequence[Path]) -> tuple[Pack, ...]:
    """The packs among `folders`, in their order; a folder without bin/detect is none."""
    return tuple(Pack(path) for path in folders if (path / "bin" / "detect").is_file())


def command(process: Process, pack: str | None) -> tuple[str, ...]:
    """The argv a profile's line runs as in the app's folder, after a pack's `.profile.d/*.sh`.

    Empty for an image's own command.
    """
    if not process.command:
        return ()
    if pack is None:
        return ("sh", "-c", process.command)
    return ("bash", "-c", _SOURCED, "nap", process.command)


def _parse(answer: "subprocess.CompletedProcess[bytes]", name: str) -> dict[str, dict[str, str]]:
    import yaml

    if answer.returncode:
        last = answer.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise BuildpackError(f"{name} ended with exit code {answer.returncode}", " ".join(last))
    try:
        found = yaml.load(answer.stdout, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError):
        raise BuildpackError(f"{name} does not print YAML", "Try it by hand.") from None
    sections = found if isinstance(found, dict) else {}
    return {
        key: _strings(sections.get(key) or {}, f"{name}: {key}")
        for key in ("default_process_types", "config_vars")
    }


def _strings(section: Any, where: str) -> dict[str, str]:
    if not isinstance(section, dict) or not all(
        isinstance(item, str) for pair in section.items() for item in pair
    ):
        raise BuildpackError(f"{where} is not a block of `name: text` lines", "Mend the buildpack.")
    return section


def _digest(path: Path) -> str:
    """A short digest of a pack's names, modes and contents; a checkout's .git is no part of it."""
    total = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        if file.is_file() and ".git" not in file.relative_to(path).parts:
            mode = file.stat().st_mode & 0o111
            head = f"{file.relative_to(path)}\0{mode:o}\0{file.stat().st_size}\0"
            total.update(head.encode("utf-8", "surrogateescape") + file.read_bytes())
    return total.hexdigest()[:12]
