"""What whoever is root on a node can do with the files that a run has there."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import quote

import pytest
from support.nap_home import App
from support.nodes.node import Node
from support.nodes.runs import GATED, Run, program

from receiver.home.paths import Home
from registry import open_store
from registry.etcd.endpoint import StoreSettings

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(300)]

# Ask as the announcer of a slave does, with another request in place of one of its own; its code is printed.
_ASK = """\
cd "$1" && cat >asked && curl -q -K curl -K asked && rm asked
"""


def announcer(node: Node, app: App) -> str:
    """The folder there with all that one of its slaves is announced by."""
    found = node.console("sh", "-c", f"ls -d /run/nap/{Home(app.home.root).id}/{app.name}/1/announced/*")
    return found.split()[0]


def ask(node: Node, place: str, url: str, body: str = "", method: str = "POST") -> str:
    """The code of the answer."""
    lines = f"url = {json.dumps(url)}\nrequest = {json.dumps(method)}\ndata = {json.dumps(body)}\n"
    done = node.run(["sudo", "sh", "-c", _ASK, "ask", place], stdin=lines)
    return done.stdout[-3:]


def test_with_all_that_was_sent_there_a_node_says_nothing_but_what_it_was_told_to(
    new_nodes_app: Callable[..., App], nodes: tuple[Node, ...]
) -> None:
    run = Run.pushed(new_nodes_app(program(GATED)), nodes)
    etcd = StoreSettings.load(Home(run.app.home.root).etcd_settings)
    store = open_store(etcd.endpoint)
    before = dict(store.list("/").entries)
    slaves = sorted(key for key in before if key.startswith(etcd.keys.slaves(run.app.name)))
    assert len(slaves) == 3
    node, place = nodes[0], announcer(nodes[0], run.app)
    own = node.console("cat", f"{place}/put")
    (url,) = [json.loads(line.partition(" = ")[2]) for line in own.splitlines() if line.startswith("url")]
    base = url.partition("/v2/")[0]
    (mine,) = [key for key in slaves if url.endswith(key)]
    (other, *_) = [key for key in slaves if key != mine]
    value = f"ttl=60&value={before[other]}"
    assert ask(node, place, f"{base}/v2/keys{other}", value, "PUT") == "403"
    assert ask(node, place, f"{base}/v2/keys{mine}", value, "PUT") == "403"
    assert ask(node, place, f"{base}/v2/keys/nap/apps/{run.app.name}", value, "PUT") == "403"
    assert ask(node, place, f"{base}/v2/keys{other}?prevValue={quote(before[other])}", "", "DELETE") == "403"
    assert ask(node, place, f"{base}/v2/keys/?recursive=true", "", "GET") == "501"
    assert ask(node, place, f"{base}/v3/kv/txn", "{}") == "501"
    assert ask(node, place, f"{base}/v3/lease/leases", "{}") == "501"
    assert {key: store.list("/").entries[key] for key in slaves} == {key: before[key] for key in slaves}
    run.open()
    run.end()
    assert run.app.wait() == 6
