"""The compile line of mpi.xml: compiler wrapper commands for its sources."""

import shlex
from collections.abc import Sequence

from buildpacks.mpi_xml import sources
from buildpacks.mpi_xml.manifest import Manifest
from buildpacks.mpi_xml.sources import CXX, FORTRAN, C
from buildpacks.plan import Step

WRAPPERS = {C: "mpicc", CXX: "mpicxx", FORTRAN: "mpifort"}
_DEFAULT_FLAGS = ("-O2",)


def steps(manifest: Manifest) -> tuple[Step, ...]:
    """Return one command for one language; for several, a command per source and one that links."""
    kinds = sources.languages(manifest.source)
    if len(kinds) == 1:
        return (_step(WRAPPERS[kinds[0]], *_flags(manifest), *manifest.source, *_output(manifest)),)
    objects = tuple(f"{name}.o" for name in manifest.source)
    compiled = (
        _step(_wrapper(name), *_flags(manifest), "-c", name, "-o", target)
        for name, target in zip(manifest.source, objects, strict=True)
    )
    return (*compiled, _step(*_linker(kinds, objects, manifest)))


def _linker(kinds: Sequence[str], objects: tuple[str, ...], manifest: Manifest) -> tuple[str, ...]:
    """Return the link command: the language with the larger runtime links and names the other's library."""
    if FORTRAN not in kinds:
        return (WRAPPERS[CXX], *objects, *_output(manifest))
    return (
        WRAPPERS[FORTRAN],
        *objects,
        *_output(manifest),
        *(("-lstdc++",) if CXX in kinds else ()),
    )


def _flags(manifest: Manifest) -> tuple[str, ...]:
    return manifest.cflags or _DEFAULT_FLAGS


def _output(manifest: Manifest) -> tuple[str, ...]:
    return ("-o", manifest.to, *manifest.ldflags)


def _wrapper(name: str) -> str:
    return WRAPPERS[sources.language(name) or C]


def _step(*argv: str) -> Step:
    return Step(argv, shlex.join(argv))
