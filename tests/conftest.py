"""Homes of nap for tests that push for real."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))

import support.containers.home as containers
import support.nodes.home as nodes_homes
from support import workers
from support.containers.home import SharedStacks
from support.containers.runtimes import docker, podman, runtime
from support.fleet import agent as fleet_agent
from support.fleet.cluster import Cluster
from support.fleet.server import serving
from support.installed import Built, Installed, build, installed
from support.nap_home import WITHIN, App, NapHome, machine_lacks
from support.nodes.lab import Lab, nodes, nodes_lab, own_lab, three_nodes
from support.nodes.node import Node
from support.polling import until

from receiver.home.paths import Home
from units.oci.runtime import Runtime

# How long an example takes is the machine's affair.
settings.register_profile("nap", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("nap")

__all__ = ["docker", "nodes", "nodes_lab", "own_lab", "podman", "runtime", "three_nodes"]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return workers.OneForEachRuntime(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        workers.check(item)
        # Longer than a push may take alone.
        if item.get_closest_marker("lab") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(2 * WITHIN))


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


@pytest.fixture(scope="session")
def image_stacks(stacks: Path) -> Iterator[SharedStacks]:
    """Stacks as images of either runtime, with a registry; kept where `stacks` are kept."""
    keep, worker = "NAP_TEST_STACKS" in os.environ, os.environ.get("PYTEST_XDIST_WORKER", "")
    with containers.shared_stacks(stacks / "images" / worker, stacks, keep) as shared:
        yield shared


@pytest.fixture(scope="session")
def containers_home(
    tmp_path_factory: pytest.TempPathFactory, image_stacks: SharedStacks, runtime: Runtime
) -> Iterator[NapHome]:
    """A home that is up with the engine `containers`, on each runtime in turn; shared like `home`."""
    for stack in ("plain", "openmpi"):  # a push has less time than it takes to build one
        image_stacks.of(runtime, stack)
    root = tmp_path_factory.mktemp("nap") / runtime.kind
    shared = containers.new_home(root, image_stacks, runtime)
    shared.up()
    yield shared
    shared.down()
    containers.forget(shared, runtime)


@pytest.fixture(scope="session")
def nodes_home(
    tmp_path_factory: pytest.TempPathFactory,
    image_stacks: SharedStacks,
    podman: Runtime,
    nodes_lab: Lab,
    three_nodes: tuple[Node, ...],
) -> Iterator[NapHome]:
    """A home that is up with the engine `systemd` on the session's three nodes; shared like `home`."""
    home = nodes_homes.new_home(tmp_path_factory.mktemp("nap") / "nodes", image_stacks, podman)
    nodes_homes.add_nodes(home, nodes_lab, three_nodes)
    home.up()
    yield home
    nodes_homes.down(home, image_stacks)
    containers.forget(home, podman)


@pytest.fixture
def new_nodes_app(
    nodes_home: NapHome, nodes: tuple[Node, ...], tmp_path: Path
) -> Iterator[Callable[..., App]]:
    """The same where runs are units of nodes: nothing is left of a test on any of them."""
    with new_apps(nodes_home, tmp_path) as make:
        yield make
    # Where a fleet brings units it takes them away too, a moment later.
    until(lambda: nodes_homes.left(nodes, Home(nodes_home.root)), [])


@pytest.fixture(scope="module")
def impatient(nodes_home: NapHome) -> Iterator[NapHome]:
    """The same home with little patience for nodes that do not answer."""
    nodes_home.settings("nodes: {away: 12}\n")
    nodes_home.up()
    yield nodes_home
    nodes_home.settings("")
    nodes_home.up()


@pytest.fixture(scope="module")
def fleet(nodes_home: NapHome, three_nodes: tuple[Node, ...]) -> Iterator[Cluster]:
    """A cluster of these nodes, with which the home is up from the first test of a file that asks for it."""
    cluster = fleet_agent.cluster(three_nodes)
    with serving(cluster) as url:
        nodes_home.settings(f"engine: fleet\nfleet: {{url: '{url}', within: 6}}\nnodes: {{away: 20}}\n")
        nodes_home.up()
        yield cluster
        nodes_home.settings("")
        nodes_home.up()


@pytest.fixture
def own_containers_home(tmp_path: Path, image_stacks: SharedStacks, runtime: Runtime) -> Iterator[NapHome]:
    """One of the test's own, which is not up yet; whatever the test does to it, `nap down` leaves nothing."""
    own = containers.new_home(tmp_path / "home", image_stacks, runtime)
    yield own
    own.down()
    try:
        assert containers.left(own, runtime) == []
    finally:
        containers.forget(own, runtime)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A source archive and a wheel of this checkout."""
    return build(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="session")
def from_wheel(built: Built) -> Iterator[Installed]:
    """nap in an environment of its own, for every user of this machine."""
    with installed(built.wheel) as nap:
        yield nap


@pytest.fixture
def own_home(tmp_path: Path, stacks: Path) -> Iterator[NapHome]:
    """A home of the test's own, which is not up yet."""
    own = NapHome(tmp_path / "home", stacks)
    yield own
    own.down()


@pytest.fixture
def new_app(home: NapHome, tmp_path: Path) -> Iterator[Callable[..., App]]:
    """Makes an app in the shared home from files; it is destroyed after the test."""
    with new_apps(home, tmp_path) as make:
        yield make


@pytest.fixture
def new_machine_app(machine_home: NapHome, tmp_path: Path) -> Iterator[Callable[..., App]]:
    """The same with the machine's own MPI."""
    with new_apps(machine_home, tmp_path) as make:
        yield make


@pytest.fixture
def new_containers_app(
    containers_home: NapHome, runtime: Runtime, tmp_path: Path
) -> Iterator[Callable[..., App]]:
    """The same where runs are containers: none of them, and nothing else, is left of a test."""
    with new_apps(containers_home, tmp_path) as make:
        yield make
    assert containers.left(containers_home, runtime) == []


@contextmanager
def new_apps(home: NapHome, folder: Path) -> Iterator[Callable[..., App]]:
    made: list[App] = []

    def make(files: dict[str, str | bytes], name: str = "") -> App:
        number = os.urandom(3).hex()
        app = home.app(name or f"t{number}", folder / f"tree-{number}", files)
        made.append(app)
        return app

    yield make
    for app in made:
        home.nap("destroy", app.name, "--yes")
