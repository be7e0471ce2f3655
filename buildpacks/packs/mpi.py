"""Trees with an mpi.xml: its sources are compiled, and its program runs on slaves."""

from pathlib import Path

from buildpacks.mpi_xml import manifest, sources
from buildpacks.mpi_xml.manifest import Manifest
from buildpacks.packs import compile_line, python_step
from buildpacks.packs.contract import HowToBuild, HowToRun, Released
from buildpacks.plan import Step


class Mpi:
    """The building and the running half of mpi.xml."""

    name = manifest.NAME

    def builds(self, tree: Path) -> bool:
        """Return whether `tree` has an mpi.xml."""
        return (tree / self.name).is_file()

    def build(self, tree: Path, manifest: Manifest | None) -> HowToBuild:
        """Return the compile line, run after `src/` moves up, or the user's commands, run before."""
        if manifest is None:
            return HowToBuild()
        steps = _steps(tree, manifest)
        uses_python = sources.PYTHON in sources.languages(manifest.source)
        return HowToBuild(
            built_by=self.name if steps else "",
            stack=manifest.mpi,
            languages=_languages(tree, manifest),
            steps=steps,
            lands_first=not manifest.build,
            products=_products(manifest),
            env=python_step.ENV if uses_python and steps else (),
        )

    def release(self, _tree: Path, _alone: bool) -> Released:
        """Return nothing: the manifest is complete before the build."""
        return Released()

    def runs(self, tree: Path) -> bool:
        """Return whether `tree` has an mpi.xml."""
        return self.builds(tree)

    def run(self, tree: Path, compiles: bool) -> HowToRun:
        """Return the checked manifest. Raise BuildpackError when it is faulty."""
        return HowToRun(self.name, manifest=manifest.read(tree, compiles))


def _steps(tree: Path, manifest: Manifest) -> tuple[Step, ...]:
    own = tuple(Step(("sh", "-ec", command), command) for command in manifest.build)
    languages = sources.languages(manifest.source)
    if sources.PYTHON in languages:
        return (*python_step.steps(tree, lands_first=not own), *own)
    if own or not languages:
        return own
    return compile_line.steps(manifest)


def _languages(tree: Path, manifest: Manifest) -> tuple[str, ...]:
    """Return the languages of `from`; with `build` alone, the tree's compiled language if only one exists."""
    if manifest.source or not manifest.build:
        return sources.languages(manifest.source)
    compiled = set(sources.languages(sources.names(tree))) - {sources.PYTHON}
    return tuple(compiled) if len(compiled) == 1 else ()


def _products(manifest: Manifest) -> tuple[str, ...]:
    """Return the program a build has to leave; there is none for Python sources."""
    if manifest.build:
        return (manifest.to,) if manifest.to else ()
    compiled = manifest.source and sources.PYTHON not in sources.languages(manifest.source)
    return (manifest.to,) if compiled else ()
