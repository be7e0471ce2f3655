"""Real container runtimes for tests: import the fixtures into the test file that needs them."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from units.errors import UnitError
from units.oci import runtime as runtimes
from units.oci.runtime import Runtime

_UP_WITHIN = 60


def machine_lacks_runtimes() -> str:
    """What to install so that this machine has both runtimes, or nothing."""
    packages = {"podman": "podman", "dockerd": "docker.io"}
    absent = [package for tool, package in packages.items() if shutil.which(tool) is None]
    return f"containers need: apt-get install {' '.join(absent)}" if absent else ""


@pytest.fixture(scope="session")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    """Docker; its engine is started when none answers, and ended again by its pid."""
    if why := machine_lacks_runtimes():
        pytest.skip(why)
    try:
        found = runtimes.find("docker")
    except UnitError:
        if os.geteuid() != 0:
            pytest.skip("Docker's engine is not running, and only root can start it")
    else:
        yield found
        return
    engine = _Engine(tmp_path_factory.mktemp("docker") / "dockerd.log")
    try:
        yield engine.wait()
    finally:
        engine.stop()


@pytest.fixture(scope="session")
def podman() -> Runtime:
    if why := machine_lacks_runtimes():
        pytest.skip(why)
    return runtimes.find("podman")


@pytest.fixture(scope="session", params=["podman", "docker"])
def runtime(request: pytest.FixtureRequest) -> Runtime:
    """Each of the two in turn."""
    found: Runtime = request.getfixturevalue(request.param)
    return found


def forget_images(runtime: Runtime, registry: str) -> None:
    """Take away all that came from a registry of a test's own, `HOST:PORT`; what others name too stays."""
    forms = "{{.Repository}}:{{.Tag}}", "{{.Repository}}@{{.Digest}}"
    named = [line for form in forms for line in runtime.run("images", "--format", form).stdout.splitlines()]
    ours = {name for name in named if name.startswith(f"{registry}/") and "<none>" not in name}
    for name in sorted(ours):
        runtime.run("rmi", name)


class _Engine:
    """A dockerd of the tests' own; what it says is kept in a file."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._up = threading.Event()
        self._process = subprocess.Popen(["dockerd"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._log.open("wb") as log:
            for line in self._process.stdout:
                log.write(line)
                log.flush()
                if b"API listen on" in line:
                    self._up.set()
        self._up.set()

    def wait(self) -> Runtime:
        self._up.wait(_UP_WITHIN)
        assert self._process.poll() is None, self._log.read_text()
        return runtimes.find("docker")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(_UP_WITHIN)
