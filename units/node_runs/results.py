"""What a run's slaves wrote on their nodes, brought here before their containers are gone."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from units.errors import UnitError
from units.globs import fits
from units.job import Handle, Outcome
from units.node_runs import download
from units.nodes.allocation import Allocation, NodeShare
from units.nodes.link import Link, Links
from units.nodes.node import Node
from units.nodes.shared_folder import as_user
from units.oci.wanted import Wanted
from units.supervisor import files

_ASK_WITHIN = 20.0
# In the run's folder once all was tried: the sentence of the first failure, if there was one.
_BROUGHT = "brought"
_GONE = UnitError("it does not answer", "see: nap nodes")


@dataclass(frozen=True)
class Results:
    """One run's. `nodes` are those that can be asked, in any order."""

    handle: Handle
    allocation: Allocation
    nodes: Sequence[Node]
    links: Links

    def bring(self) -> None:
        """Copy what matches the run's globs to where every engine's results are; once, however often asked.

        The master has ended before that. What has to be said of it is in `handle.remarks`.
        """
        brought = self.handle.folder / _BROUGHT
        if not self.allocation.results or brought.exists():
            return
        clashes, failures = self._bring()
        lines = [f"results: {line}\n" for line in (*clashes, *failures)]
        self.handle.remarks.write_text("".join(lines))
        brought.write_text("".join(failures[:1]))

    def _bring(self) -> tuple[list[str], list[str]]:
        """What was left out, and what failed."""
        shares = {share.node: share for share in self.allocation.shares}
        # The master's first: what it has goes before what others have of the same name.
        nodes = [node for name in shares for node in self.nodes if node.name == name]
        found = self.links.each(nodes if self.allocation.sharer is None else nodes[:1], self._shared)
        paths = {name: answer for name, answer in found.items() if not isinstance(answer, UnitError)}
        chosen, clashes = shared_out(paths)

        def fetch(node: Node, link: Link) -> None:
            with _in_a_sentence():
                _fetch_shared(link, self.allocation, chosen.get(node.name, ()), self.handle.folder / "share")
                _fetch_own(link, self.allocation, shares[node.name], self.handle.folder / "places")

        failed = found.keys() - chosen.keys()
        fetched = self.links.each([node for node in nodes if node.name not in failed], fetch)
        answers = {**dict.fromkeys(shares, _GONE), **found, **fetched}
        failures = [_told(name, answer) for name, answer in answers.items() if isinstance(answer, UnitError)]
        return clashes, failures

    def _shared(self, _: Node, link: Link) -> list[PurePath]:
        """What in the node's folder /share matches, file by file."""
        find = (*_reading(self.allocation), "find", self.allocation.shared, "-type", "f", "-printf", r"%P\0")
        done = link.run(find, within=_ASK_WITHIN)
        # 1 is for what could not be looked into, or went away meanwhile.
        if done.code not in (0, 1):
            raise UnitError(f"find failed on {link.login}: {done.last}")
        paths = [PurePath(os.fsdecode(name)) for name in done.out.split(b"\0") if name]
        return sorted(path for path in paths if fits(path, self.allocation.results))


def keep(handle: Handle, allocation: Allocation | None, ended: Outcome) -> tuple[Path, ...]:
    """Put what was brought where it is for good. UnitError when a run that ended well lacks some of it."""
    if allocation is None or not allocation.results:
        return ()
    seats = (seat for share in allocation.shares for seat in share.seats)
    labels = {allocation.container_of(seat): f"slave{seat.index}" for seat in seats}
    spec = {"labels": labels, "results": allocation.results, "tree": "/nonexistent"}
    kept = files.keep_results(handle.folder, spec)
    brought = handle.folder / _BROUGHT
    if not ended.exit_code and brought.exists() and (failure := brought.read_text()):
        raise UnitError(failure)
    return kept


def shared_out(found: Mapping[str, Sequence[PurePath]]) -> tuple[dict[str, list[PurePath]], list[str]]:
    """Which node gives which files, of several that may have one of the same name; and who gives way."""
    giver: dict[PurePath, str] = {}
    clashes = []
    for node, paths in found.items():
        for path in paths:
            if giver.setdefault(path, node) != node:
                clashes.append(f"{path} in /share on {node} was left out, {giver[path]} has one too")
    return {node: [path for path in paths if giver[path] == node] for node, paths in found.items()}, clashes


def _fetch_shared(link: Link, allocation: Allocation, paths: Sequence[PurePath], folder: Path) -> None:
    if not paths:
        return
    wanted = f"{allocation.folder}/wanted"
    names = b"".join(os.fsencode(path) + b"\0" for path in paths)
    link.ask(("dd", f"of={wanted}", "status=none"), names, _ASK_WITHIN)
    tar = (
        "tar", "--create", "--file=-", "--ignore-failed-read", "--warning=no-file-changed", "--no-recursion",
        "--directory", allocation.shared, "--null", "--verbatim-files-from", "--files-from=-",
    )  # fmt: skip
    # The list is root's to read.
    download.fetch(link, ("sh", "-c", 'exec "$@" <"$0"', wanted, *_reading(allocation), *tar), folder)


def _reading(allocation: Allocation) -> tuple[str, ...]:
    """The words before what looks into the run's /share."""
    return () if allocation.sharer is None else as_user(allocation.sharer)


def _fetch_own(link: Link, allocation: Allocation, share: NodeShare, places: Path) -> None:
    """What the node's slaves made or changed in their own folders."""
    for seat in share.seats:
        name = allocation.container_of(seat)
        app = places / name / "app"
        done = link.run((share.runtime, "diff", name), within=_ASK_WITHIN)
        if done.code:
            raise UnitError(f"{share.runtime} diff {name}: {done.last}")
        if wanted := Wanted.of(done.out, PurePosixPath(allocation.workdir), allocation.results):
            copy = (share.runtime, "cp", wanted.source(name), "-")
            download.fetch(link, copy, app / wanted.folder, wanted.takes)


@contextmanager
def _in_a_sentence() -> Iterator[None]:
    """What fails here, such as a disk that is full or a name that is too long, is one node's failure."""
    try:
        yield
    except OSError as error:
        raise UnitError(f"{error.strerror or error}: {error.filename or 'here'}") from error


def _told(node: str, error: UnitError) -> str:
    return f"what slaves on {node} wrote could not all be brought: {error.message}"
