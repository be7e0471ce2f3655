"""Real image builds for tests: commits prepared on a real runtime, with a registry of their own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from support.containers.image_registry import LabRegistry

from receiver import repository
from receiver.builds.images import push_pull
from receiver.builds.images.builder import ImageBuilder
from receiver.builds.stacks.images import StackImages
from receiver.home import settings
from receiver.home.paths import Home
from receiver.home.settings import Settings
from receiver.ledger.ledger import App
from receiver.runs.cancellation import Cancellation
from receiver.runs.prepare import Prepared, Preparer, Push
from receiver.text.output import Say
from units.launching import Machine
from units.local.engine import LocalEngine
from units.oci.runtime import Runtime

_GIT = {
    "PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@lab.invalid",
    "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@lab.invalid",
}  # fmt: skip
_MAVEN = Path("/etc/maven/settings-debian.xml")
Files = dict[str, str | bytes]


class Workshop:
    """What the builds of one runtime share: a home, and a registry of their own that is up."""

    def __init__(self, root: Path, runtime: Runtime, stacks: StackImages, registry: LabRegistry) -> None:
        root.mkdir()
        self.home, self.registry, self.lab_registry = Home(root), registry.start(), registry
        self.home.repository("x").parent.mkdir(parents=True)
        self.home.buildpacks.mkdir()
        flags = ("--tls-verify=false",) if runtime.kind == "podman" else ()
        self.runtime = replace(runtime, registry_flags=flags)
        maven = ("-o", "-s", str(_MAVEN))
        self.settings = replace(settings.load(self.home.settings), maven=maven)
        self.stacks = stacks

    def builder(self, chosen: Settings | None = None) -> ImageBuilder:
        return ImageBuilder(self.home, chosen or self.settings, self.runtime, self.registry, self.stacks)

    def close(self) -> None:
        """Take its images off the machine."""
        images = self.builder().images
        for digest in images.digests():
            push_pull.forget(self.runtime, images.get(digest).reference)
        push_pull.forget_leftovers(self.runtime, f"nap.home={self.home.root}")
        self.lab_registry.stop()


class BuiltApp:
    """One app, its working copy, and how its commits are prepared."""

    def __init__(self, workshop: Workshop, tree: Path) -> None:
        self.workshop, self.tree = workshop, tree
        self.name = f"t{os.urandom(3).hex()}"
        # How long its steps sleep that are to be ended: told from all others' by it.
        self.mark = str(3000 + int.from_bytes(os.urandom(3), "big"))
        self.cancellation = Cancellation()
        self.said: list[str] = []
        repository.create(workshop.home.repository(self.name))
        tree.mkdir()
        self._git("init", "-q")

    def _git(self, *words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=self.tree, env=_GIT, check=True, capture_output=True, text=True, timeout=60
        )
        return done.stdout.strip()

    def commit(self, files: Files) -> str:
        for name, content in files.items():
            path = self.tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        self._git("add", "-A")
        self._git("commit", "-q", "--allow-empty", "-m", "a change")
        repository = self.workshop.home.repository(self.name)
        self._git("push", "-q", "--no-verify", str(repository), "HEAD:refs/stored/head", "-f")
        return self._git("rev-parse", "HEAD")

    def build(
        self, files: Files, chosen: Settings | None = None, hear: Say = lambda _: None, **config: str
    ) -> Prepared:
        """What the files become; `said` has the lines, which `hear` gets too."""
        self.said = []

        def say(line: str) -> None:
            self.said.append(line)
            hear(line)

        builder = self.workshop.builder(chosen)
        settings = chosen or self.workshop.settings
        engine = LocalEngine(self.workshop.home.root, Machine.here())  # nothing is run
        preparer = Preparer(self.workshop.home, settings, builder, engine)
        push = Push(App(self.name, config, ""), self.commit(files), self.cancellation.descriptor)
        return preparer.prepare(push, say)

    def inside(self, prepared: Prepared, command: str) -> str:
        """What a shell in a container of the image says; stderr too, and whatever its exit code."""
        options = ("--rm", "--network=none", "--user", str(self.workshop.runtime.uid), "--entrypoint", "sh")
        done = self.workshop.runtime.run("run", *options, prepared.image.reference, "-c", f"({command}) 2>&1")
        return done.stdout

    def left(self) -> list[str]:
        """Containers of this app's builds, its named images, and scratch trees."""
        runtime, home = self.workshop.runtime, self.workshop.home
        external = ("--external",) if runtime.kind == "podman" else ()
        words = ("ps", "--all", *external, "--no-trunc", "--format", "{{.Names}} {{.Image}} {{.Command}}")
        marks = (self.name, f"{self.workshop.registry.host}/nap_", self.mark)
        ours = [line for line in runtime.ask(*words).splitlines() if any(mark in line for mark in marks)]
        images = runtime.run("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.splitlines()
        named = [line for line in images if f"_{self.name}_image" in line]
        return [*ours, *named, *map(str, home.scratch.glob("*"))]


def running(mark: str) -> list[int]:
    """The processes of this machine that have `mark` among their arguments."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if mark.encode() in words:
            found.append(int(folder.name))
    return found


def once(text: str, act: Callable[[], object]) -> Say:
    """Calls `act` when a line with `text` is said for the first time."""
    done: list[str] = []

    def hear(line: str) -> None:
        if text in line and not done:
            done.append(line)
            act()

    return hear
