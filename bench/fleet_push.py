"""A push of hello to nodes by nap's own units, and through fleet: `python bench/fleet_push.py [FOLDER]`.

Fleet is the tests' stand-in, which has real nodes carry out units as fleet does. Nothing is built.
FOLDER: see nodes_push.py.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from container_push import line, ratio, timed
from nodes_push import home_on_nodes, until_first_line
from support.fleet import agent as fleet_agent
from support.fleet.server import serving
from support.nap_home import App

ROUNDS = 7
SLAVES = 2


def main() -> None:
    with tempfile.TemporaryDirectory() as name, home_on_nodes(Path(name)) as (home, nodes):
        hello = home.example("hello", Path(name) / "tree")
        with serving(fleet_agent.cluster(nodes)) as url:
            report(hello, {"systemd": "", "fleet": f"engine: fleet\nfleet: {{url: '{url}'}}\n"})


def report(hello: App, settings: dict[str, str]) -> None:
    """In turn, each after a push that is not timed: connections are open then."""
    seconds: dict[str, list[float]] = {engine: [] for engine in settings}
    for _ in range(ROUNDS):
        for engine, text in settings.items():
            hello.home.settings(text)
            hello.home.up()
            until_first_line(hello, SLAVES)
            hello.wait_until_clean()
            seconds[engine].append(timed(lambda: until_first_line(hello, SLAVES)))
            hello.wait_until_clean()
    for engine, taken in seconds.items():
        line(f"push, {engine}", taken)
    ratio("fleet / systemd", seconds["fleet"], seconds["systemd"], 1.5)


if __name__ == "__main__":
    main()
