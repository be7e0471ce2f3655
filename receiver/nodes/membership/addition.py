"""`nap nodes add`: log in, collect facts, check them, record the node. A refused machine stays as it was."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from receiver.errors import ReceiverError
from receiver.findings import Finding
from receiver.home.paths import Home
from receiver.nodes import facts as node_facts
from receiver.nodes import share as node_share
from receiver.nodes.arch import own_arch
from receiver.nodes.book import NodeBook, node_name
from receiver.nodes.facts import Facts, Part
from receiver.nodes.login import Entered, Target, enter, fingerprint, let_out
from receiver.nodes.membership import clearing, node_checks
from receiver.nodes.membership.node_checks import Situation, WantedNode
from receiver.nodes.share import Share
from receiver.nodes.states import CONNECT_WITHIN
from units.errors import UnitError
from units.nodes.link import Link, Links
from units.nodes.node import Node

Show = Callable[[Sequence[Finding]], None]
# Seconds without output. Each command of the facts script has a timeout of its own.
ANSWERED_WITHIN = 90.0


@dataclass(frozen=True)
class Told:
    """A machine's facts. `apart` is the least its clock can be ahead of this one's, in seconds."""

    facts: Facts
    apart: float


def add(
    home: Home, target: Target, wanted: WantedNode, parts: Sequence[Part], share: Share | None, show: Show
) -> Node:
    """Add the machine as a node and return it. `show` is called with the findings.

    Raise ReceiverError with the reason when the machine cannot be a node.
    """
    book = NodeBook(home.nodes)
    if wanted.name:
        book.check(node_name(wanted.name), "")
    with enter(target, book) as inside, _key_of_nodes_alone(inside, book, show):
        return _add(home, inside, wanted, parts, share, show)


def _add(
    home: Home, inside: Entered, wanted: WantedNode, parts: Sequence[Part], share: Share | None, show: Show
) -> Node:
    book = NodeBook(home.nodes)
    told = listen(inside.ask(node_facts.script(parts), ANSWERED_WITHIN))
    situation = Situation(told.facts, wanted, told.apart, own_arch(), tuple(parts))
    findings = [*_greetings(inside), *node_checks.examine(situation)]
    if share and not _useless(findings):
        findings.append(_shared(share, book, node_checks.make(situation, inside.login)))
    show(findings)
    _refuse_useless(findings, wanted.name or inside.login.host)
    node = node_checks.make(situation, inside.login)
    node_name(node.name)
    book.check(node.name, told.facts.machine)
    _clear_what_is_left(home, book, node, told.facts.machine)
    book.add(node, told.facts.machine)
    book.mark_seen([node.name])
    return node


@contextmanager
def _key_of_nodes_alone(inside: Entered, book: NodeBook, show: Show) -> Iterator[None]:
    """Remove nap's key from the machine again if this command put it there and no node was added."""
    try:
        yield
    except BaseException:
        if inside.let_in:
            show([Finding("key", None, _let_out(inside, book.public_key))])
        raise


def _let_out(inside: Entered, key: str) -> str:
    try:
        let_out(inside, key)
    except ReceiverError as error:
        return f"nap's is still in ~/.ssh/authorized_keys of {inside.login.user}: {error.message}"
    return "nap's was taken out again"


def _clear_what_is_left(home: Home, book: NodeBook, node: Node, machine: str) -> None:
    """Clear a machine that was a node before and was away when that was removed."""
    before = book.left_on(machine)
    if before is None:
        return
    link = Link(node.login, book.identity)
    try:
        clearing.clear(home, replace(node, runtime=before.runtime), link, "force")
    except UnitError as error:
        sentence = f"what {before.name} left on that machine cannot be removed: {error.message}"
        raise ReceiverError(f"{node.name} was not added: {sentence}", error.hint) from error
    finally:
        link.close()
    book.forget_left(machine)


def listen(pieces: Iterable[bytes]) -> Told:
    """Return the facts in a machine's output, and its clock offset.

    The machine reads its clock between the request and the arrival of that line. An offset is only reported
    when the clock lies outside these two moments.
    """
    asked, heard, said = time.time(), 0.0, b""
    for piece in pieces:
        said += piece
        if not heard and node_facts.has_clock(said):
            heard = time.time()
    facts = node_facts.parse(said.decode(errors="replace"))
    return Told(facts, facts.clock - min(max(facts.clock, asked), heard or time.time()))


def _greetings(inside: Entered) -> list[Finding]:
    kind = inside.login.host_key.partition(" ")[0]
    shown = f"{kind} {fingerprint(inside.login.host_key)}"
    return [Finding("ssh", True, f"{inside.login}, {inside.how}"), Finding("host key", True, shown)]


def _shared(share: Share, book: NodeBook, node: Node) -> Finding:
    """Return a finding on whether the node has the other nodes' shared directory."""
    others = [other for other in book.all() if other.name != node.name]
    links = Links(book.identity, CONNECT_WITHIN)
    try:
        return node_share.examine(share, [*others, node], links)[node.name]
    finally:
        links.close()


def _useless(findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.ok is False]


def _refuse_useless(findings: Sequence[Finding], name: str) -> None:
    if bad := _useless(findings):
        why = "; ".join(f"{finding.name}: {finding.found}" for finding in bad)
        raise ReceiverError(f"{name} was not added: {why}", bad[0].hint)
