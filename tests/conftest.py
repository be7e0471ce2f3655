"""Homes of nap for tests that push for real."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from nap_lab import App, NapHome, machine_lacks


@pytest.fixture(scope="session")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MPI, installed once for all homes; `NAP_TEST_STACKS` keeps it from one session to the next."""
    kept = os.environ.get("NAP_TEST_STACKS")
    return Path(kept) if kept else tmp_path_factory.mktemp("stacks")


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory, stacks: Path) -> Iterator[NapHome]:
    """A home that is up, shared by all tests that leave it as they found it."""
    shared = NapHome(tmp_path_factory.mktemp("nap") / "home", stacks)
    shared.up()
    yield shared
    shared.down()


@pytest.fixture(scope="session")
def machine_home(tmp_path_factory: pytest.TempPathFactory, stacks: Path) -> Iterator[NapHome]:
    """A home that is up and has no MPI but the machine's; shared like `home`."""
    if why := machine_lacks():
        pytest.skip(why)
    shared = NapHome(tmp_path_factory.mktemp("nap") / "machine", stacks, mpi="machine")
    shared.up()
    yield shared
    shared.down()


@pytest.fixture
def own_home(tmp_path: Path, stacks: Path) -> Iterator[NapHome]:
    """A home of the test's own, which is not up yet."""
    own = NapHome(tmp_path / "home", stacks)
    yield own
    own.down()


@pytest.fixture
def new_app(home: NapHome, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., App]]:
    """Makes an app in the shared home from files; it is destroyed after the test."""
    made: list[App] = []

    def make(files: dict[str, str | bytes], name: str = "") -> App:
        number = os.urandom(3).hex()
        app = home.app(name or f"t{number}", tmp_path / f"tree-{number}", files)
        made.append(app)
        return app

    yield make
    for app in made:
        home.nap("destroy", app.name, "--yes")
