"""Pushes while the registry of images is away, refuses, or breaks: refused in a sentence, nothing changed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.containers.image_registry import LabRegistry, cut_after
from support.nap_home import App, NapHome, Ran
from support.polling import until

from registry.images.address import ImageRegistry
from units.oci.runtime import Runtime

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
# Answers on $PORT, and is another program for each number.
PROGRAM = """
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>
int main(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(getenv("PORT")))};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    bind(listener, (struct sockaddr *) &at, sizeof at);
    listen(listener, %d);
    for (;;) {
        char heard;
        int caller = accept(listener, 0, 0);
        while (read(caller, &heard, 1) > 0) {}
        close(caller);
    }
}
"""
DOCKERFILE = 'FROM scratch\nCOPY hello /hello\nCMD ["/hello"]\n'


class Place:
    """A home on a registry of the test's own, and an app whose image needs no stack."""

    def __init__(self, home: NapHome, lab: LabRegistry, folder: Path) -> None:
        self.home = home
        self.lab = lab
        self._folder = folder
        self._builds = 0

    def use(self, runtime: Runtime, registry: ImageRegistry) -> None:
        password = self._folder / "password"
        password.write_text("right")
        self.home.settings(
            f"containers: {{runtime: {runtime.kind}}}\n"
            f"registry: {{url: '{registry.host}', user: nap, password_file: {password}, insecure: true}}\n"
        )
        up = self.home.nap("up", "--engine", "containers")
        assert up.code == 0, up
        self._runtime = runtime

    def forget(self) -> None:
        """Remove what the app's pushes left in the runtime."""
        label = f"label=nap.home={self.home.root}"
        # Podman fails over an image that somebody else has just removed.
        ids = self._runtime.run("images", "--quiet", "--filter", label).stdout.split()
        if ids:
            self._runtime.ask("rmi", "--force", *dict.fromkeys(ids))

    def commit(self, app: App, padding: int = 0) -> None:
        """A new program each time, with so many bytes behind it."""
        self._builds += 1
        source, program = self._folder / "hello.c", app.tree / "hello"
        source.write_text(PROGRAM % self._builds)
        subprocess.run(["cc", "-static", "-o", str(program), str(source)], check=True)
        with program.open("ab") as file:
            file.write(os.urandom(padding))
        app.commit({"Dockerfile": DOCKERFILE})

    def state(self, app: App) -> tuple[Any, Any, list[str]]:
        """All that a refused push must not change."""
        releases, runs = self.home.json("releases", app.name), self.home.json("runs", app.name)
        return releases, runs, sorted(self.images(app))

    def images(self, app: App) -> list[str]:
        data = self.lab.folder / "data" / "docker" / "registry" / "v2" / "repositories"
        return [str(path.relative_to(data)) for path in data.glob(f"*{app.name}_image/_manifests/tags/*")]


@pytest.fixture
def place(own_home: NapHome, tmp_path: Path) -> Iterator[Place]:
    lab = LabRegistry(tmp_path / "registry", login=("nap", "right"))
    lab.start()
    made = Place(own_home, lab, tmp_path)
    yield made
    own_home.down()
    lab.stop()
    made.forget()


@pytest.fixture
def app(place: Place, runtime: Runtime, tmp_path: Path) -> App:
    """Pushed once."""
    place.use(runtime, place.lab.registry)
    made = place.home.app("hello", tmp_path / "tree")
    place.commit(made)
    first = made.push()
    assert first.code == 0, first
    # Whoever pushed does not wait for it.
    until(lambda: any(image.endswith("/v1") for image in place.images(made)), True, 30)
    return made


def refused(pushed: Ran, sentence: str) -> None:
    assert pushed.code == 1, pushed
    assert sentence in pushed.out, pushed
    assert "pre-receive hook declined" in pushed.out
    assert "Traceback" not in pushed.out


def test_while_it_is_away_a_push_is_refused_and_nothing_has_changed(place: Place, app: App) -> None:
    before = place.state(app)
    place.lab.stop()
    place.commit(app)
    pushed = app.push()
    refused(pushed, f"nap: {place.lab.registry.host} cannot be reached: Connection refused")
    assert pushed.out.count("trying again in") == 3
    assert place.state(app) == before
    place.lab.start()
    assert app.push().code == 0
    assert app.runs()[-1]["release"] == 2


def test_the_same_commit_runs_while_it_is_away(place: Place, app: App) -> None:
    place.lab.stop()
    pushed = app.push()
    assert pushed.code == 0, pushed
    assert "built before" in pushed.out
    assert app.runs()[-1]["release"] == 1


def test_stopped_in_mid_push_it_refuses_and_nothing_has_changed(
    place: Place, app: App, runtime: Runtime
) -> None:  # fmt: skip
    before = place.state(app)
    with cut_after(place.lab.registry, 5_000_000, place.lab.stop) as passage:
        place.use(runtime, passage)
        place.commit(app, padding=30_000_000)
        refused(app.push(), "nap: ")
        place.lab.start()
        assert place.state(app) == before
        assert app.push().code == 0


def test_a_password_that_is_no_longer_right_is_said(place: Place, app: App) -> None:
    before = place.state(app)
    place.lab.stop()
    place.lab.login = ("nap", "changed")
    place.lab.start()
    place.commit(app)
    pushed = app.push()
    refused(pushed, f"nap: {place.lab.registry.host} refuses the login of 'nap'")
    assert "registry.password_file" in pushed.out
    assert "trying again" not in pushed.out
    assert place.state(app) == before


@pytest.fixture
def full(place: Place) -> Iterator[None]:
    """The registry's disk has room for the first image, and not for a large one."""
    if os.geteuid() != 0:
        pytest.skip("only root can give the registry a disk of its own")
    data = place.lab.folder / "data"
    data.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "nap-test", str(data)], check=True)
    yield
    subprocess.run(["umount", "--lazy", str(data)], check=True)


def test_a_registry_whose_disk_is_full_refuses_and_nothing_has_changed(
    place: Place, full: None, app: App
) -> None:
    before = place.state(app)
    place.commit(app, padding=8_000_000)
    refused(app.push(), "nap: ")
    assert place.state(app) == before
