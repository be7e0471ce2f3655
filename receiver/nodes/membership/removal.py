"""`nap nodes remove`: clear the node of what nap left there, then remove it from the book."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from receiver.errors import ReceiverError
from receiver.home.paths import Home
from receiver.nodes.book import NodeBook
from receiver.nodes.membership import clearing
from receiver.nodes.states import CONNECT_WITHIN, Uses
from receiver.text.output import Say
from units.errors import UnitError
from units.nodes.link import Link
from units.nodes.node import Node

_SHOWN = 3


def remove(home: Home, name: str, force: bool, say: Say, uses: Uses = tuple) -> None:
    """Remove the node; `force` ends its runs, and also removes a node that is away.

    Without `force`, raise ReceiverError while something runs there or when the node does not answer.
    """
    book = NodeBook(home.nodes)
    node = book.get(name)
    link = Link(node.login, book.identity, CONNECT_WITHIN)
    book.drain(name)
    try:
        _refuse_busy(home, node, link, force, uses)
        _clear(home, node, link, book, force, say)
    except ReceiverError:
        if not node.drained:
            book.resume(name)
        raise
    finally:
        link.close()
    book.remove(name)
    say(f"{name} is removed")


def _refuse_busy(home: Home, node: Node, link: Link, force: bool, uses: Uses) -> None:
    if force:
        return
    given = sum(use.need.slots for use in uses() if use.node == node.name)
    with _advised(node):
        running = clearing.busy(home, node, link)
    if not (given or running):
        return
    shown = ", ".join(running[:_SHOWN]) + (", ..." if len(running) > _SHOWN else "")
    hint = f"wait (it gets nothing new after: nap nodes drain {node.name}), or end it: --force"
    raise ReceiverError(f"{node.name} is in use: {shown or f'{given} slots of it are given away'}", hint)


def _clear(home: Home, node: Node, link: Link, book: NodeBook, force: bool, say: Say) -> None:
    key = " ".join(book.public_key.split()[:2])
    try:
        with _advised(node):
            clearing.clear(home, node, link, "force" if force else "all", key)
    except ReceiverError as error:
        if not force:
            raise
        book.remember(node.name)
        say(f"it may have left something there: {error.message}")
        say("that goes when the same machine is added again")


@contextmanager
def _advised(node: Node) -> Iterator[None]:
    """Turn a node's error into a ReceiverError that advises `--force`."""
    try:
        yield
    except UnitError as error:
        hint = f"take it out of the book as it is: nap nodes remove {node.name} --force"
        raise ReceiverError(error.message, hint) from error
