"""A run's folder in the nodes' shared directory: one node creates it, any node can remove it."""

from __future__ import annotations

from units.errors import UnitError
from units.nodes.link import Link
from units.nodes.scripts import script

_MADE_WITHIN, _REMOVED_WITHIN = 15.0, 30.0


def as_user(number: int) -> tuple[str, ...]:
    """Return the argv prefix that runs a command as this uid and gid, without other groups."""
    return ("setpriv", f"--reuid={number}", f"--regid={number}", "--clear-groups", "--")


def make(link: Link, node: str, folder: str, owner: int) -> None:
    """Create the folder as the uid `owner`. Raise UnitError when the node cannot write there."""
    try:
        done = link.run((*as_user(owner), *script("share", folder)), within=_MADE_WITHIN)
    except UnitError as error:
        raise UnitError(f"the node {node} cannot write to {folder}: {error.message}", error.hint) from error
    if done.code:
        sentence = f"the node {node} cannot write to {folder} as user {owner}: {done.last}"
        raise UnitError(sentence, "see: nap nodes check")


def remove(link: Link, folder: str, owner: int) -> None:
    """Remove the folder, and parents that are empty then, as the uid `owner`. Raise UnitError on failure."""
    link.ask((*as_user(owner), *script("unshare", folder)), within=_REMOVED_WITHIN)
