"""What all tests of containers share: one registry, and the stacks of each runtime, built once."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.containers.runtimes import forget_images
from support.nap_home import NapHome

from buildpacks.plan import Plan
from buildpacks.stacks.stack import Stack
from receiver.builds import image_registry
from receiver.builds.stacks.images import StackImages
from receiver.home import settings
from receiver.home.paths import Home
from registry.images import server as image_server
from registry.images.address import ImageRegistry
from units.oci import runtime as runtimes
from units.oci.runtime import Runtime


class SharedStacks:
    """A registry in `root`, and what is known of the stacks in it. `wheels` is where MPIs are kept."""

    def __init__(self, root: Path, wheels: Path, registry: ImageRegistry) -> None:
        self._root = root
        self._wheels = wheels.absolute()
        self.registry = registry
        self._used: dict[str, Runtime] = {}
        self._password = root / "password"
        self._password.touch(mode=0o600)
        self._password.write_text(registry.password.value)

    @property
    def registry_folder(self) -> Path:
        return self._root / "registry"

    def settings(self, runtime: Runtime) -> str:
        """What a home has to say to use them."""
        login = f"user: {self.registry.user}, password_file: {self._password}, insecure: true"
        return (
            f"engine: containers\ncontainers: {{runtime: {runtime.kind}}}\n"
            f"registry: {{url: '{self.registry.host}', {login}}}\n"
        )

    def furnish(self, root: Path, runtime: Runtime) -> Home:
        """Have the home at `root` take the stacks that are there, and put those it builds beside them."""
        home = Home(root)
        self._used[runtime.kind] = runtime
        records = self._root / f"records-{runtime.kind}"
        for folder in (root, records):
            folder.mkdir(parents=True, exist_ok=True)
        for link, target in ((home.stacks, self._wheels), (home.stack_records, records)):
            if not link.exists():
                link.symlink_to(target)
        return home

    def images(self, runtime: Runtime) -> StackImages:
        home = self.furnish(self._root / runtime.kind, runtime)
        home.settings.write_text(self.settings(runtime))
        image_registry.write_logins(home.logins, self.registry)
        flags = image_registry.flags(home.logins, self.registry)
        chosen = runtimes.find(runtime.kind, home.logins, flags)
        return StackImages(home, settings.load(home.settings), self.registry, chosen)

    def of(self, runtime: Runtime, name: str) -> Stack:
        return self.images(runtime).have(Plan("mpi.xml", "mpi.xml", name), print)

    def forget(self) -> None:
        """Take the stacks off the machine."""
        for runtime in self._used.values():
            forget_images(runtime, self.registry.host)


@contextmanager
def shared_stacks(root: Path, wheels: Path, keep: bool) -> Iterator[SharedStacks]:
    """The registry is up while somebody uses it: other test sessions may, at the same time."""
    root.mkdir(parents=True, exist_ok=True)
    log = root / "registry.log"
    with (root / "users").open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        shared = SharedStacks(root, wheels, image_server.start(root / "registry", log, print))
        yield shared
        if not keep:
            shared.forget()
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        image_server.stop(root / "registry", log)


def new_home(root: Path, shared: SharedStacks, runtime: Runtime) -> NapHome:
    """A home that is not up yet, whose engine is `containers`."""
    shared.furnish(root, runtime)
    home = NapHome(root)
    home.always(shared.settings(runtime))
    return home


def left(home: NapHome, runtime: Runtime) -> list[str]:
    """Containers, networks and volumes of a home; trees, keys and half-made files in it."""
    mine = ("--filter", f"label=nap.home={home.root}")
    networks = runtime.ask("network", "ls", "--format", "{{.Name}}", *mine).split()
    volumes = runtime.ask("volume", "ls", "--quiet", *mine).split()
    containers = runtime.ask("ps", "--all", "--format", "{{.Names}}", *mine).split()
    files = [*home.root.glob("scratch/*"), *home.root.glob("runs/*/*/files"), *home.root.rglob("id_ed25519")]
    return [*containers, *networks, *volumes, *map(str, files)]


def forget(home: NapHome, runtime: Runtime) -> None:
    """Take the images that a home has built off the machine."""
    label = f"label=nap.home={home.root}"
    ids = dict.fromkeys(runtime.run("images", "--all", "--quiet", "--filter", label).stdout.split())
    if ids:
        runtime.run("rmi", "--force", *ids)
