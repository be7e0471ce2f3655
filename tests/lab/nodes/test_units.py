"""A node's own systemd reads what nap writes: the very words that were meant reach the program."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.jobs.nodes import ODD
from support.nap_home import App, NapHome
from support.nodes.node import Node

from receiver.home.paths import Home
from units import quoting

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(300)]
UNIT, SAID = "words.service", "/var/lib/words"
SAY = ("-c", f'printf "%s\\0" "$@" >{SAID}', "say")
# What a command line can carry; lone surrogates are no text.
WORDS = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=60)


@pytest.mark.parametrize("between", [" ", " \\\n    "], ids=["one line", "a line a word"])
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=WORDS)
@example(words=list(ODD))
@example(words=[chr(number) for number in range(1, 256)])
def test_a_program_gets_exactly_the_words_of_its_unit(
    nodes: tuple[Node, ...], between: str, words: list[str]
) -> None:
    node = nodes[0]
    line = between.join(map(quoting.systemd, (*SAY, *words)))
    unit = node.disk / "etc/systemd/system" / UNIT
    unit.write_text(f"[Service]\nType=oneshot\nExecStart=/bin/sh {line}\n")
    try:
        node.console("sh", "-c", f"systemctl daemon-reload && systemctl start {UNIT}")
        said = (node.disk / SAID.lstrip("/")).read_bytes()
    finally:
        unit.unlink()
    # Without any word printf says one that is empty.
    assert said == b"".join(word.encode() + b"\0" for word in words or [""])


# All of the nodes' slots.
SAYS = {
    "mpi.xml": """build: chmod +x says\nto: says\nhosts: 3\nslots: 2\nargs: ["100%", "it's $1"]\n""",
    "says": """#!/bin/sh\necho "$(printf '%s|' "$@")"\n""",
}


def test_render_shows_what_each_node_would_get(
    nodes_home: NapHome, new_nodes_app: Callable[..., App]
) -> None:
    app = new_nodes_app(SAYS)
    pushed = app.push("strict")
    assert pushed.code == 0, pushed.out
    assert app.lines() == ["100%|it's $1|"] * 6
    home = Home(nodes_home.root)
    slaves, announcers = f"{home.id}_slaves_{app.name}@.service", f"{home.id}_discovery_{app.name}@.service"
    units = {unit["name"]: unit["content"] for unit in nodes_home.json("render", app.name)}
    names = [f"node{number}/{unit}" for number in (1, 2, 3) for unit in (slaves, announcers)]
    assert list(units) == [*names, f"node1/{home.id}_master_{app.name}.service"]
    first = [units[f"node{number}/{slaves}"].splitlines()[0] for number in (1, 2, 3)]
    assert [line.rpartition(": ")[0] for line in first] == [f"# {app.name}-slave{n}" for n in (1, 2, 3)]
    exported = nodes_home.json("render", app.name, "--engine", "fleet")
    of_run = [name.replace(app.name, f"{app.name}.2") for name in (slaves, announcers)]
    assert [unit["name"] for unit in exported] == [*of_run, f"{home.id}_master_{app.name}.2.service"]
    refused = nodes_home.nap("render", app.name, "--engine", "containers")
    assert "nap is up with the engine systemd, not containers" in refused.err
