"""What `run:` starts: it is given its arguments, and one that is nowhere is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.nap_home import App

pytestmark = pytest.mark.lab

NewApp = Callable[..., App]
_FILES = {
    "mpi.xml": "run: show.sh first\nhosts: 1\nargs: -n 'a b' $NAP_SHARE/x\n",
    "show.sh": 'for word; do echo "<$word>"; done\n',
}


def arguments_arrive(app: App, share: str) -> None:
    ran = app.push("strict")
    assert ran.code == 0, ran.out
    assert "$ set -- -n 'a b' \"$NAP_SHARE/x\"" in ran.out
    given = app.logs().splitlines()
    assert given[:3] == ["<first>", "<-n>", "<a b>"]
    assert given[3].endswith(f"{share}/x>")
    assert "$" not in given[3]
    assert app.push("strict", "args=over").code == 0
    assert app.logs().splitlines() == ["<first>", "<over>"]


def test_a_script_is_given_its_arguments(new_app: NewApp) -> None:
    app = new_app(_FILES)
    arguments_arrive(app, "share")
    app.commit({"mpi.xml": 'run: |\n  for word in "$@"; do echo "[$word]"; done\nhosts: 1\nargs: 1 2\n'})
    assert app.push("strict").code == 0
    assert app.logs().splitlines() == ["[1]", "[2]"]


@pytest.mark.slow
def test_a_script_is_given_its_arguments_in_containers(new_containers_app: NewApp) -> None:
    app = new_containers_app(_FILES)
    arguments_arrive(app, "share")
    app.commit({"mpi.xml": "run: nproc\nhosts: 1\n"})  # looked for in the image that compiles
    assert app.push("strict").code == 0
    app.commit({"mpi.xml": "run: no-such-command\nhosts: 1\n"})
    refused = app.push()
    assert refused.code == 1
    assert "starts with no-such-command, which is neither in the tree nor on PATH" in refused.out
