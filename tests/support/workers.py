"""Which tests may run at once, where there are several workers: `pytest -n 4`."""

from __future__ import annotations

import re

import pytest
from xdist.scheduler import LoadScopeScheduling

_NAMES = {
    "nodes": r"lab/nodes/|_over_nodes|::TestNodes",
    "podman": r"\[podman\b|_podman(_|$)",
    "docker": r"/test_compose|\[docker\b|_docker_",
}
_NODES = {"nodes_lab", "own_lab"}
_PODMANS = {"podman", "image_stacks"}


class OneForEachRuntime(LoadScopeScheduling):
    """A runtime's tests have one worker: no two build, push and prune the same images.

    So have those of nodes, which wait more than they work. Others go anywhere, a file's together.
    """

    def _split_scope(self, nodeid: str) -> str:
        return _keeper(nodeid) or nodeid.partition("::")[0]


def check(item: pytest.Item) -> None:
    """A scheduler knows tests by their names alone: UsageError for a name that does not tell what it uses."""
    used = _used(item)
    if used and used != _keeper(item.nodeid):
        raise pytest.UsageError(f"{item.nodeid} uses {used}: have its name say so, see {__name__}.py")


def _keeper(nodeid: str) -> str:
    return next((kind for kind, names in _NAMES.items() if re.search(names, nodeid)), "")


def _used(item: pytest.Item) -> str:
    fixtures = set(getattr(item, "fixturenames", ()))
    if fixtures & _NODES:
        return "nodes"
    called = getattr(item, "callspec", None)
    chosen = called.params.get("runtime") if called else None
    if isinstance(chosen, str):
        return chosen
    return "docker" if "docker" in fixtures else "podman" if fixtures & _PODMANS else ""
