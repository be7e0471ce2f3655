"""`nap nodes check`: the checks of `nap nodes add`, run again on nodes in the book."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from receiver.errors import ReceiverError
from receiver.findings import Finding
from receiver.nodes import facts as node_facts
from receiver.nodes import share as node_share
from receiver.nodes.arch import own_arch
from receiver.nodes.book import Record
from receiver.nodes.facts import Part
from receiver.nodes.login import tell
from receiver.nodes.membership import node_checks
from receiver.nodes.membership.addition import ANSWERED_WITHIN, listen
from receiver.nodes.membership.node_checks import Situation, WantedNode
from receiver.nodes.share import Share
from units.errors import UnitError
from units.nodes.link import Link, Links
from units.nodes.node import Node


def check(
    records: Sequence[Record], links: Links, parts: Sequence[Part], share: Share | None, all_: Sequence[Node]
) -> Mapping[str, list[Finding] | UnitError]:
    """Check the nodes in parallel, and return each one's findings by name, or the error of a silent one.

    The shared directory is compared on `all_` nodes that are not silent.
    """
    machines = {record.node.name: record.machine for record in records}
    arch = own_arch()

    def look(node: Node, link: Link) -> list[Finding]:
        return _look(node, link, parts, machines[node.name], arch)

    found = links.each([record.node for record in records], look)
    away = {name for name, answer in found.items() if isinstance(answer, UnitError)}
    present = [node for node in all_ if node.name not in away]
    shared = node_share.examine(share, present, links) if share else {}
    return {name: _with(answer, shared.get(name)) for name, answer in found.items()}


def _with(answer: list[Finding] | UnitError, shared: Finding | None) -> list[Finding] | UnitError:
    return [*answer, shared] if shared and not isinstance(answer, UnitError) else answer


def _look(node: Node, link: Link, parts: Sequence[Part], machine: str, arch: str) -> list[Finding]:
    try:
        told = listen(tell(link.open(("sh", "-s"), ANSWERED_WITHIN), node_facts.script(parts)))
    except ReceiverError as error:
        raise UnitError(f"{node.login}: {error.message}", error.hint) from error
    except OSError as error:
        raise UnitError(f"{node.login} did not answer within {ANSWERED_WITHIN:.0f} s") from error
    # The link already runs commands as root, so the script reports `root` even where the login uses sudo.
    facts = replace(told.facts, root="root" if node.login.user == "root" else "sudo")
    wanted = WantedNode(node.name, node.slots, node.memory, node.address)
    found = node_checks.examine(Situation(facts, wanted, told.apart, arch, tuple(parts)))
    return [*found, *node_checks.differs(facts, node, machine)]
