"""Which images are removed from a real registry and from both runtimes, and which are kept."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from support.containers.image_registry import LabRegistry

from receiver.builds import image_registry
from receiver.builds.images import push_pull
from receiver.builds.images.builder import ImageBuilder, Stacks
from receiver.builds.images.push_pull import Shipping
from receiver.home import settings as home_settings
from receiver.home.paths import Home
from receiver.home.settings import Settings
from receiver.ledger.ledger import Ledger
from receiver.runs import pruning
from registry.errors import RegistryError
from registry.images.client import RegistryClient
from registry.images.trees import Image
from units.oci.runtime import Runtime

pytestmark = pytest.mark.lab
OLD = 3700


@dataclass
class Shop:
    """A home whose app `hello` has images in a registry and in a runtime, and no daemon."""

    home: Home
    registry: LabRegistry
    ledger: Ledger
    context: Any

    @property
    def runtime(self) -> Runtime:
        return image_registry.runtime(self.home, self.context.settings)

    def release(self, age: float = OLD) -> Image:
        """A new release, with an image of its own that was built `age` seconds ago."""
        number = len(self.ledger.releases("hello")) + 1
        image = self.image(f"v{number}", age)
        self.ledger.release("hello", f"{number:040x}", image.digest, "{}")
        return image

    def image(self, tag: str, age: float = OLD) -> Image:
        name = f"localhost/nap-test-{os.urandom(4).hex()}:latest"
        archive = self.home.root / "image.tar"
        with tarfile.open(archive, "w") as tar:
            entry = tarfile.TarInfo("data")
            entry.size = 8
            tar.addfile(entry, io.BytesIO(os.urandom(8)))
        self.runtime.ask("import", "--change", "CMD /data", str(archive), name)
        registry = self.registry.registry
        digest = push_pull.push(Shipping(self.runtime, registry, print), name, "hello_image", tag)
        self.runtime.ask("rmi", name)
        image = Image(digest, reference=registry.reference("hello_image", digest))
        self.context.images.add(image)
        self._make_older(digest, age)
        return image

    def _make_older(self, digest: str, age: float) -> None:
        place = self.home.image_records / f"{digest.replace(':', '-')}.json"
        then = place.stat().st_mtime - age
        os.utime(place, (then, then))

    def places(self, image: Image) -> tuple[bool, bool, bool]:
        """Whether it is in the runtime's store, in the registry and on record."""
        client = RegistryClient(self.registry.registry)
        return (
            self.runtime.has(image.reference),
            client.has("hello_image", image.digest),
            self.context.images.has(image.digest),
        )


def builder_of(home: Home, settings: Settings) -> ImageBuilder:
    """One that is to build nothing."""
    registry, runtime = image_registry.of(home, settings.registry), image_registry.runtime(home, settings)
    return ImageBuilder(home, settings, runtime, registry, cast(Stacks, None))


EVERYWHERE, NOWHERE = (True, True, True), (False, False, False)


@pytest.fixture
def shop(tmp_path: Path, runtime: Runtime) -> Iterator[Shop]:
    registry = LabRegistry(tmp_path / "registry")
    home = Home(tmp_path / "home")
    home.root.mkdir()
    home.settings.write_text(
        f"engine: containers\nkeep: 2\ncontainers: {{runtime: {runtime.kind}}}\n"
        f"registry: {{url: '{registry.start().host}', insecure: true}}\n"
    )
    settings = home_settings.load(home.settings)
    image_registry.have(home, settings.registry, print)
    ledger = Ledger(home.ledger)
    ledger.add_app("hello")
    builder = builder_of(home, settings)
    images, engine = builder.images, SimpleNamespace(forget=lambda _: None)
    made = Shop(
        home, registry, ledger,
        SimpleNamespace(
            home=home, settings=settings, ledger=ledger, images=images, engine=engine, builder=builder
        ),
    )  # fmt: skip
    yield made
    for digest in images.digests():
        push_pull.forget(made.runtime, images.get(digest).reference)
    ledger.close()
    registry.stop()


def test_the_last_releases_are_kept_and_older_ones_go_everywhere(shop: Shop) -> None:
    first, second, third = shop.release(), shop.release(), shop.release()
    pruning.prune(shop.context)
    assert [shop.places(image) for image in (first, second, third)] == [NOWHERE, EVERYWHERE, EVERYWHERE]
    assert sorted(RegistryClient(shop.registry.registry).tags("hello_image")) == ["v2", "v3"]


def test_what_runs_is_kept(shop: Shop) -> None:
    first = shop.release()
    shop.ledger.accept("hello", f"{1:040x}", {}, 1)
    shop.release(), shop.release()
    pruning.prune(shop.context)
    assert shop.places(first) == EVERYWHERE


def test_what_no_release_has_goes_once_it_is_old(shop: Shop) -> None:
    young, old = shop.image("young", age=0), shop.image("old")
    pruning.prune(shop.context)
    assert [shop.places(image) for image in (young, old)] == [EVERYWHERE, NOWHERE]


def test_what_cannot_be_removed_while_the_registry_is_away_is_removed_later(shop: Shop) -> None:
    image = shop.image("old")
    shop.registry.stop()
    with pytest.raises(RegistryError, match="cannot be reached"):
        pruning.prune(shop.context)
    assert shop.context.images.has(image.digest)
    shop.registry.start()
    pruning.prune(shop.context)
    assert shop.places(image) == NOWHERE


def test_an_image_of_a_registry_that_was_named_before_is_forgotten_here(shop: Shop) -> None:
    image = shop.image("old")
    settings = shop.context.settings
    elsewhere = replace(settings.registry, url="registry.lab.invalid:5000")
    shop.context.builder = builder_of(shop.home, replace(settings, registry=elsewhere))
    pruning.prune(shop.context)
    assert shop.places(image) == (False, True, False)
