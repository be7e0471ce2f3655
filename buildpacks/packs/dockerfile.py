"""Dockerfile as a kind of tree: the user's own image, built where there are containers."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path

from buildpacks.errors import BuildpackError
from buildpacks.mpi_xml import sources
from buildpacks.mpi_xml.manifest import Manifest
from buildpacks.packs.contract import HowToBuild, Released
from buildpacks.plan import WEB, Process

_RUN = re.compile(r"\s*(?:ONBUILD\s+)?RUN\b", re.IGNORECASE)
# A word as builders read it, by what makes a character no more than itself: it may be quoted in part.
_OPTION = r"""\s+(--(?:{0}.?|"(?:{0}.|[^"{0}])*"?|'(?:{0}.|[^'{0}])*'?|[^\s"'{0}])+)"""
_OPTIONS = {escape: re.compile(_OPTION.format(re.escape(escape))) for escape in ("\\", "`")}
_QUOTING = re.compile(r"""[\\`"']""")
# What gives a step rights over the machine that builds, unless its value is one of these.
_RIGHTS = {"--network": ("default", "none"), "--security": ("sandbox",)}


class Dockerfile:
    """The building half of a Dockerfile; there are no steps, the image's own lines are them."""

    name = "Dockerfile"

    def builds(self, tree: Path) -> bool:
        """A tree with a Dockerfile."""
        return (tree / self.name).is_file()

    def build(self, tree: Path, _manifest: Manifest | None) -> HowToBuild:
        """An image of the user's own; no step of it may ask for the machine's network or rights."""
        sources.refuse_link(tree, self.name)
        _refuse_rights((tree / self.name).read_bytes().decode(errors="replace"))
        return HowToBuild(built_by=self.name, stack="dockerfile")

    def release(self, _tree: Path, alone: bool) -> Released:
        """A service by the image's own command, unless something else says how to run."""
        return Released((Process(WEB, ""),)) if alone else Released()


def _refuse_rights(text: str) -> None:
    for option in _run_options(text.split("\n")):
        name, _, value = _QUOTING.sub("", option).lower().partition("=")
        if value not in _RIGHTS.get(name, (value,)):
            raise BuildpackError(
                f"Dockerfile: RUN {option} would reach the machine that builds, which no step may",
                f"leave it out, or: RUN {name}={_RIGHTS[name][0]}",
            )


def _run_options(lines: Sequence[str]) -> Iterator[str]:
    """What any RUN is told, wherever a builder may see one.

    Builders differ in where an instruction begins: by what it goes on over lines (`# escape=`), in heredocs.
    So each line is taken for the first of one, and either character for that by which it goes on.
    """
    for start, escape in product(range(len(lines)), _OPTIONS):
        instruction = _whole(lines[start:], escape)
        if run := _RUN.match(instruction):
            yield from _words(_OPTIONS[escape], instruction, run.end())


def _whole(lines: Iterable[str], escape: str) -> str:
    """An instruction from its first line on, without the comments and empty lines that are in it."""
    text = ""
    for line in lines:
        if text and line.strip()[:1] in ("", "#"):
            continue
        text += line.rstrip()
        if not text.endswith(escape):
            break
        text = text[:-1]
    return text


def _words(word: re.Pattern[str], text: str, at: int) -> Iterator[str]:
    """Those that follow each other from there on."""
    while found := word.match(text, at):
        yield found[1]
        at = found.end()
