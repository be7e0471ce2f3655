"""Results: files that a run's slaves wrote on their nodes, fetched before their containers are removed."""

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
# A file in the run's folder after the attempt, with the message of the first failure, if any.
_BROUGHT = "brought"
_GONE = UnitError("it does not answer", "see: nap nodes")


@dataclass(frozen=True)
class Results:
    """The results of one run. `nodes` are those that answer, in any order."""

    handle: Handle
    allocation: Allocation
    nodes: Sequence[Node]
    links: Links

    def bring(self) -> None:
        """Copy the files that match the run's globs into the run's folder. Later calls do nothing.

        The master has to be stopped before. Left out files and failures are written to `handle.remarks`.
        """
        brought = self.handle.folder / _BROUGHT
        if not self.allocation.results or brought.exists():
            return
        clashes, failures = self._bring()
        lines = [f"results: {line}\n" for line in (*clashes, *failures)]
        self.handle.remarks.write_text("".join(lines))
        brought.write_text("".join(failures[:1]))

    def _bring(self) -> tuple[list[str], list[str]]:
        """Return the messages for files left out, and for failures."""
        shares = {share.node: share for share in self.allocation.shares}
        # The master's node comes first: its files take precedence over others of the same name.
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
        """Return the files in the node's /share that match the globs, sorted."""
        find = (*_reading(self.allocation), "find", self.allocation.shared, "-type", "f", "-printf", r"%P\0")
        done = link.run(find, within=_ASK_WITHIN)
        # find exits with 1 for folders it may not read and for files that vanish meanwhile.
        if done.code not in (0, 1):
            raise UnitError(f"find failed on {link.login}: {done.last}")
        paths = [PurePath(os.fsdecode(name)) for name in done.out.split(b"\0") if name]
        return sorted(path for path in paths if fits(path, self.allocation.results))


def keep(handle: Handle, allocation: Allocation | None, ended: Outcome) -> tuple[Path, ...]:
    """Move the fetched files to their final place, and return their paths.

    Raise UnitError when a run that ended with 0 lacks some of its results.
    """
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
    """Return the files to take from each node, and messages for those left out: the first node wins."""
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
    # The shell opens the list as root, before setpriv drops the rights to read it.
    download.fetch(link, ("sh", "-c", 'exec "$@" <"$0"', wanted, *_reading(allocation), *tar), folder)


def _reading(allocation: Allocation) -> tuple[str, ...]:
    """Return the argv prefix for commands that read the run's /share."""
    return () if allocation.sharer is None else as_user(allocation.sharer)


def _fetch_own(link: Link, allocation: Allocation, share: NodeShare, places: Path) -> None:
    """Fetch the results that the node's slaves created or changed in their own containers."""
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
    """Turn a local OSError, such as a full disk or too long a name, into the UnitError of one node."""
    try:
        yield
    except OSError as error:
        raise UnitError(f"{error.strerror or error}: {error.filename or 'here'}") from error


def _told(node: str, error: UnitError) -> str:
    return f"what slaves on {node} wrote could not all be brought: {error.message}"
