"""Check that nodes have the directory set as `share`, can write to it, and see each other's files."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from receiver.findings import Finding
from receiver.home import settings
from receiver.home.paths import Home
from units.errors import UnitError
from units.nodes.link import Link, Links
from units.nodes.node import Node
from units.nodes.shared_folder import as_user
from units.oci import runtime

_SCRIPT = Path(__file__).with_name("shell") / "share.sh"
# Seconds for each of three requests, so that a file server that is away does not block for longer.
_ANSWERED_WITHIN = 10.0


@dataclass(frozen=True)
class Share:
    """A shared directory. `owner` is the uid that programs run as."""

    folder: str
    owner: int


def named(home: Home) -> Share | None:
    """Return the configured directory or None. Raise UnitError when no runtime here says what `owner` is."""
    ours = settings.load(home.settings)
    return Share(ours.share, runtime.find(ours.containers.runtime).uid) if ours.share else None


def examine(share: Share, nodes: Sequence[Node], links: Links) -> Mapping[str, Finding]:
    """Return a finding for each node by name. Each node writes a mark and lists the marks that it sees."""
    marks = f".nap-{secrets.token_hex(8)}"

    def ask(link: Link, what: str, *names: str) -> str:
        words = ("sh", "-s", "--", what, share.folder, marks, *names)
        return link.ask((*as_user(share.owner), *words), _SCRIPT.read_bytes(), _ANSWERED_WITHIN)

    marked = links.each(nodes, lambda node, link: ask(link, "mark", node.name))
    able = [node for node in nodes if not isinstance(marked[node.name], UnitError)]
    names = [node.name for node in able]
    seen = links.each(able, lambda _, link: ask(link, "see", *names).split())
    links.each(able, lambda _, link: ask(link, "clear"))
    failed = {name: answer for name, answer in marked.items() if isinstance(answer, UnitError)}
    return judge(share, {**failed, **seen})


def judge(share: Share, answers: Mapping[str, list[str] | UnitError]) -> dict[str, Finding]:
    """Return the findings. `answers` has for each node whose marks it sees, or why it wrote none."""
    seen = {name: set(answer) for name, answer in answers.items() if isinstance(answer, list)}
    # The right directory is the one that most nodes have; of two equals, the first node's.
    usual = max(seen, key=lambda name: sum(name in marks for marks in seen.values()), default="")
    return {name: _finding(share, name, answer, usual) for name, answer in answers.items()}


def _finding(share: Share, name: str, answer: list[str] | UnitError, usual: str) -> Finding:
    if isinstance(answer, UnitError):
        why = answer.message.rpartition(": ")[2]
        hint = f"it has to be there, and user {share.owner}, who programs are, may write to it"
        return Finding("share", False, f"{share.folder} cannot be used: {why}", hint)
    if usual not in answer:
        sentence = f"{share.folder} is another directory than on {usual}"
        return Finding("share", False, sentence, "mount the same one on all nodes")
    same = f", the same as on {usual}" if name != usual else ""
    return Finding("share", True, f"{share.folder} for user {share.owner}{same}")
