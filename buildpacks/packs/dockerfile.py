"""Trees with a Dockerfile: the user's own image, built where containers are available."""

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
# An option as builders split words, for each escape character: any part of the word can be quoted.
_OPTION = r"""\s+(--(?:{0}.?|"(?:{0}.|[^"{0}])*"?|'(?:{0}.|[^'{0}])*'?|[^\s"'{0}])+)"""
_OPTIONS = {escape: re.compile(_OPTION.format(re.escape(escape))) for escape in ("\\", "`")}
_QUOTING = re.compile(r"""[\\`"']""")
# Options that give a step rights over the build machine, unless their value is one of these.
_RIGHTS = {"--network": ("default", "none"), "--security": ("sandbox",)}


class Dockerfile:
    """The building half of a Dockerfile. It has no steps: the Dockerfile's instructions take their place."""

    name = "Dockerfile"

    def builds(self, tree: Path) -> bool:
        """Return whether `tree` has a Dockerfile."""
        return (tree / self.name).is_file()

    def build(self, tree: Path, _manifest: Manifest | None) -> HowToBuild:
        """Return how it is built. Raise BuildpackError for a RUN with the machine's network or rights."""
        sources.refuse_link(tree, self.name)
        _refuse_rights((tree / self.name).read_bytes().decode(errors="replace"))
        return HowToBuild(built_by=self.name, stack="dockerfile")

    def release(self, _tree: Path, alone: bool) -> Released:
        """Return a service with the image's own command, unless something else describes the run."""
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
    """Yield the options of everything that a builder could read as a RUN instruction.

    Builders disagree on where an instruction begins, because of the continuation character (`# escape=`) and
    of heredocs. So each line is tried as the first of an instruction, with either continuation character.
    """
    for start, escape in product(range(len(lines)), _OPTIONS):
        instruction = _whole(lines[start:], escape)
        if run := _RUN.match(instruction):
            yield from _words(_OPTIONS[escape], instruction, run.end())


def _whole(lines: Iterable[str], escape: str) -> str:
    """Return the instruction that begins with the first line, without inner comments and empty lines."""
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
    """Yield the words that directly follow each other from the offset `at` on."""
    while found := word.match(text, at):
        yield found[1]
        at = found.end()
