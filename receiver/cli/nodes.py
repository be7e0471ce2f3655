"""nodes: the machines that slaves are placed on, with engines on nodes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from receiver.cli.common import client, json_option, print_json, print_table

if TYPE_CHECKING:
    from receiver.findings import Finding
    from receiver.home.paths import Home
    from receiver.nodes.book import NodeBook
    from receiver.nodes.states import NodeState
    from units.errors import UnitError
    from units.placement.capacity import Use

_UNITS = {"M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_HEADINGS = ("NODE", "LOGIN", "STATE", "SLOTS", "MEMORY", "LOAD", "HAS", "SEEN")


def _bytes(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int:
    """What --memory says; 0 where it is not given."""
    if value is None:
        return 0
    match = re.fullmatch(r"([1-9]\d{0,8})([MGT])", value)
    if not match:
        raise click.BadParameter(f"{value!r} is not a size such as 512M or 64G")
    return int(match[1]) * _UNITS[match[2]]


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def nodes(ctx: click.Context, as_json: bool) -> None:
    """List the machines that slaves are placed on, or change which they are.

    \b
    Example:
      nap nodes add ops@node1
      nap nodes
      nap nodes drain node1
    """
    if ctx.invoked_subcommand is None:
        _list(as_json)


@nodes.command()
@click.argument("target", metavar="[USER@]HOST[:PORT]")
@click.option("--name", default="", help="What to call it; its own host name unless given.")
@click.option("--slots", type=click.IntRange(1, 65536), default=None, help="Ranks at a time; its cores.")
@click.option("--memory", callback=_bytes, metavar="SIZE", help="For slaves, as 64G; all but a tenth.")
@click.option("--address", default="", help="Where other nodes find it, if it has several.")
def add(target: str, name: str, slots: int | None, memory: int, address: str) -> None:
    """Look at a machine over ssh, and add it when it can be a node.

    It needs ssh, root or sudo without a password, systemd, Podman or Docker, curl and a clock that is
    right. nap logs in with a key of its own, which it lets in with yours. Nothing is installed.

    \b
    Example:
      nap nodes add ops@node1
      nap nodes add root@10.0.0.7:2222 --name node7 --slots 16 --memory 64G
    """
    from receiver.nodes import share as node_share
    from receiver.nodes.login import Target
    from receiver.nodes.membership import addition
    from receiver.nodes.membership.node_checks import WantedNode
    from receiver.nodes.reachable_parts import parts

    home, _ = _book()
    wanted = WantedNode(name, slots or 0, memory, address)
    share = node_share.named(home)
    node = addition.add(home, Target.parse(target), wanted, parts(home), share, _show)
    _tell_receiver()
    click.echo(f"{node.name} is added: {_slots(node.slots)}, {_size(node.memory)}, {node.kind}, {node.arch}")


@nodes.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@json_option
@click.pass_context
def check(ctx: click.Context, names: tuple[str, ...], as_json: bool) -> None:
    """Ask nodes again what they were asked when they were added; all of them when none is named.

    Exits with 1 when one of them is away, or lacks what nap cannot do without.

    \b
    Example:
      nap nodes check
      nap nodes check node1
    """
    found = _checked(names)
    if as_json:
        print_json([_finding_json(name, answer) for name, answer in found.items()])
    else:
        _print_findings(found)
    useless = [name for name, answer in found.items() if _is_useless(answer)]
    ctx.exit(1 if useless else 0)


@nodes.command()
@click.argument("name")
def drain(name: str) -> None:
    """Place nothing new on a node; what runs there runs on.

    \b
    Example:
      nap nodes drain node2
    """
    _book()[1].drain(name)
    _tell_receiver()
    click.echo(f"{name} is drained: nothing new is placed on it")


@nodes.command()
@click.argument("name")
def resume(name: str) -> None:
    """Let a drained node take slaves again.

    \b
    Example:
      nap nodes resume node2
    """
    _book()[1].resume(name)
    _tell_receiver()
    click.echo(f"{name} is open")


@nodes.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="End what runs there; also one that does not answer.")
def remove(name: str, force: bool) -> None:
    """Forget a node, and take away what nap has left on it: units, files, its key.

    \b
    Example:
      nap nodes remove node2
    """
    from receiver.nodes.membership import removal

    removal.remove(_book()[0], name, force, click.echo, _uses)
    _tell_receiver()


def _book() -> tuple[Home, NodeBook]:
    from receiver.client import nap_home
    from receiver.home.paths import Home
    from receiver.nodes.book import NodeBook

    home = Home(nap_home())
    return home, NodeBook(home.nodes)


def _checked(names: Sequence[str]) -> Mapping[str, list[Finding] | UnitError]:
    from receiver.nodes import share as node_share
    from receiver.nodes import states
    from receiver.nodes.membership import recheck
    from receiver.nodes.reachable_parts import parts
    from units.nodes.link import Links

    home, book = _book()
    records = [book.record(name) for name in dict.fromkeys(names)] if names else book.records()
    if not records:
        return {}
    links = Links(book.identity, states.CONNECT_WITHIN)
    try:
        share = node_share.named(home)
        return recheck.check(records, links, parts(home), share, book.all())
    finally:
        links.close()


def _is_useless(answer: list[Finding] | UnitError) -> bool:
    return not isinstance(answer, list) or any(finding.ok is False for finding in answer)


def _finding_json(name: str, answer: list[Finding] | UnitError) -> dict[str, Any]:
    if isinstance(answer, list):
        return {"name": name, "away": "", "findings": [asdict(finding) for finding in answer]}
    return {"name": name, "away": answer.message, "findings": []}


def _print_findings(found: Mapping[str, list[Finding] | UnitError]) -> None:
    for name, answer in found.items():
        click.echo(name)
        if isinstance(answer, list):
            _show(answer)
        else:
            click.echo(f"MISSING  {answer.message}")


def _list(as_json: bool) -> None:
    states = _states()
    if as_json:
        print_json([state.as_json() for state in states])
        return
    print_table(_HEADINGS, [_row(state) for state in states], "no nodes yet: nap nodes add USER@HOST")
    for state in states:
        if state.away:
            click.echo(f"{state.node.name}: {state.away}", err=True)


def _states() -> Sequence[NodeState]:
    from receiver.nodes import states
    from units.nodes.link import Links

    _, book = _book()
    if not book.all():
        return ()
    links = Links(book.identity, states.CONNECT_WITHIN)
    try:
        return states.look(book, links, _uses)
    finally:
        links.close()


def _uses() -> Sequence[Use]:
    """What the receiver has placed; nothing while none runs."""
    from receiver.errors import ReceiverError
    from units.placement.capacity import Need, Use

    try:
        values = client().get("/nodes/uses")
    except ReceiverError:
        return ()
    return [Use(value["node"], Need(value["slots"], value["memory"])) for value in values]


def _tell_receiver() -> None:
    """That the nodes are others than before; one that starts later sees it by itself."""
    from contextlib import suppress

    from receiver.errors import ReceiverError

    with suppress(ReceiverError):
        client().post("/nodes/changed")


def _row(state: NodeState) -> tuple[object, ...]:
    from receiver.text.format import ago

    node, load = state.node, state.load
    return (
        node.name,
        str(node.login),
        state.state,
        f"{state.slots} of {node.slots}",
        f"{_size(state.memory)} of {_size(node.memory)}",
        f"{load.load:.2f}" if load else None,
        ", ".join(word for word in (node.kind, node.arch, "RDMA" if node.rdma else "") if word),
        ago(state.seen),
    )


def _show(findings: Sequence[Finding]) -> None:
    from receiver.doctor.checks import report

    click.echo(report(findings, sudo=False))


def _slots(count: int) -> str:
    from receiver.text.format import counted

    return counted(count, "slot")


def _size(count: int) -> str:
    from units.placement.explain import size

    return size(count)
