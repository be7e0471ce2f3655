"""mpi.xml: the sources, the program they compile to, and the slaves it runs on."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from buildpacks.errors import BuildpackError
from buildpacks.mpi_xml import script_text, sources
from buildpacks.mpi_xml.schema import BY_NAME, MOST_RANKS, Key
from buildpacks.mpi_xml.values import Raw

NAME = "mpi.xml"
OPTIONS = ("hosts", "np", "slots", "args", "timeout")
_LARGEST = 64 * 1024
_FORM = "from: hello.c\nto: hello\nhosts: 4"


@dataclass(frozen=True)
class Manifest:
    """A checked mpi.xml. `None` stands for an absent key. Memory is in bytes, the timeout in seconds."""

    source: tuple[str, ...] = ()
    to: str = ""
    hosts: int | None = None
    slots: int | None = None
    np: int | None = None
    mpi: str = "openmpi"
    build: tuple[str, ...] = ()
    cflags: tuple[str, ...] = ()
    ldflags: tuple[str, ...] = ()
    run: str = ""
    packages: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    cpus_per_rank: int = 1
    memory: int | None = None
    timeout: int | None = None
    mpirun: tuple[str, ...] = ()
    results: tuple[str, ...] = ()


def parse(data: bytes, compiles: bool = True) -> Manifest:
    """Return the manifest in `data`. `compiles` is False when another file of the tree builds it.

    Raises:
        BuildpackError: it breaks the table of keys, lacks a key, or its counts or arguments do not fit.
    """
    from buildpacks.mpi_xml import yaml_text

    fields: dict[str, Any] = {}
    for name, entry in yaml_text.read(_text(data), NAME).items():
        key = _key(name, entry.line)
        fields[key.attribute] = _read(key, entry.value, f"{NAME}, line {entry.line}: `{name}`")
    manifest = Manifest(**fields)
    _check_build(manifest, compiles)
    _check_counts(manifest, NAME)
    _check_args(manifest, NAME)
    return manifest


def read(tree: Path, compiles: bool = True) -> Manifest:
    """Return the manifest of `tree` after a check that its sources exist; `compiles` as for `parse`.

    Raises:
        BuildpackError: the manifest is faulty, or a file is missing or outside the tree.
    """
    path = tree / NAME
    sources.refuse_link(tree, NAME)
    with path.open("rb") as file:
        data = file.read(_LARGEST + 1)
    manifest = parse(data, compiles)
    sources.check(tree, manifest.source, manifest.to)
    return manifest


def override(manifest: Manifest, options: Mapping[str, str]) -> Manifest:
    """Return the manifest with the push options `hosts`, `np`, `slots`, `args`, `timeout` replaced.

    A new `np` drops the manifest's `slots`, and lowers its `hosts` to `np` when there are fewer ranks
    than slaves; `slots` and `hosts` given as options are kept.

    Raises:
        BuildpackError: an option is unknown, or its value is invalid or does not fit the others.
    """
    given: dict[str, Any] = {}
    for name, value in options.items():
        if name not in OPTIONS:
            raise BuildpackError(f"push option `{name}` is unknown", _nearest(name, OPTIONS))
        given[name] = _read(BY_NAME[name], value, f"push option `{name}`")
    changed = replace(manifest, **given)
    if "np" in given:
        changed = replace(changed, slots=given.get("slots"))
        if changed.hosts and "hosts" not in given:
            changed = replace(changed, hosts=min(changed.hosts, given["np"]))
    _check_counts(changed, "push options")
    _check_args(changed, "push options")
    return changed


def layout(manifest: Manifest) -> tuple[int, ...]:
    """Return the number of ranks of each slave, in slave order: `hosts: 4, np: 10` gives 3, 3, 2, 2.

    `np` alone gives one slave: see `may_be_split`.
    """
    if manifest.np is None:
        return (manifest.slots or 1,) * (manifest.hosts or 1)
    slaves = manifest.hosts or -(-manifest.np // (manifest.slots or manifest.np))
    share, more = divmod(manifest.np, slaves)
    return (share + 1,) * more + (share,) * (slaves - more)


def may_be_split(manifest: Manifest) -> bool:
    """Return whether only `np` is given: the ranks can then be split over as many slaves as have room."""
    return manifest.np is not None and manifest.hosts is None and manifest.slots is None


def _text(data: bytes) -> str:
    if len(data) > _LARGEST:
        raise BuildpackError(
            f"{NAME} is larger than {_LARGEST // 1024} KB",
            "It holds a few `key: value` lines; data belongs in files beside it.",
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BuildpackError(
            f"{NAME} is not UTF-8 text (byte {error.start} is 0x{data[error.start]:02x})",
            "Save it as plain UTF-8 text.",
        ) from None
    if not text.strip():
        raise BuildpackError(f"{NAME} is empty", f"Three lines are enough:\n{_FORM}")
    if text.lstrip().startswith("<"):
        raise BuildpackError(
            f"{NAME} has XML in it, and is `key: value` lines in spite of its name",
            f"Write it in this form:\n{_FORM}",
        )
    return text


def _key(name: str, line: int) -> Key:
    from buildpacks.mpi_xml.yaml_text import shorten

    if name not in BY_NAME:
        raise BuildpackError(
            f"{NAME}, line {line}: there is no key `{shorten(name)}`",
            _nearest(name, tuple(BY_NAME)),
        )
    return BY_NAME[name]


def _nearest(name: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name.lower(), known, n=1)
    return f"Did you mean `{near[0]}`?" if near else f"Known are {', '.join(known)}."


def _read(key: Key, raw: Raw, where: str) -> object:
    try:
        return key.read(raw)
    except ValueError as error:
        reason = f": {error}" if str(error) else ""
        raise BuildpackError(f"{where} {_found(raw)}{reason}", f"`{key.name}` takes {key.takes}.") from None


def _found(raw: Raw) -> str:
    from buildpacks.mpi_xml.yaml_text import shorten

    if isinstance(raw, str):
        return f"is `{shorten(raw)}`" if raw else "has no value"
    if isinstance(raw, Mapping):
        return "is a block of further keys" if raw else "is an empty block"
    return f"is the list `{shorten(', '.join(raw))}`" if raw else "is an empty list"


def _check_build(manifest: Manifest, compiles: bool) -> None:
    if compiles and not (manifest.source or manifest.build or manifest.run):
        raise _missing("from", "the source to compile: `from: hello.c`")
    compiled = compiles and not manifest.build and manifest.source
    if compiled:
        sources.refuse_unknown(manifest.source)
    single = len(manifest.source) == 1 and sources.is_python(manifest.source[0])
    if not manifest.to and not single and (compiled or not manifest.run):
        raise _missing("to", "the program's name: `to: hello`")
    if manifest.hosts is None and manifest.np is None:
        raise _missing("hosts", "the number of slaves: `hosts: 4` (or the number of ranks: `np: 4`)")


def _missing(key: str, takes: str) -> BuildpackError:
    return BuildpackError(f"{NAME} has no `{key}`", f"Add {takes}.")


def _check_args(manifest: Manifest, where: str) -> None:
    if manifest.run and manifest.args and not script_text.takes_arguments(manifest.run):
        raise BuildpackError(
            f"{where}: `args` are given, and the script of `run` does not say where they belong",
            'Write "$@" in their place: `mpirun ./solver "$@"`; or leave `args` out.',
        )


def _check_counts(manifest: Manifest, where: str) -> None:
    hosts, np, slots = manifest.hosts, manifest.np, manifest.slots
    ranks = np or (hosts or 1) * (slots or 1)
    if ranks > MOST_RANKS:
        raise BuildpackError(f"{where}: {ranks} ranks are asked for", f"At most {MOST_RANKS} are allowed.")
    if np and hosts and np < hosts:
        raise BuildpackError(
            f"{where}: `np` is {np} and `hosts` is {hosts}, so some slaves would have no rank",
            f"Ask for {np} slaves (hosts) or for {hosts} ranks (np).",
        )
    if np and hosts and slots and np > hosts * slots:
        raise BuildpackError(
            f"{where}: `np` is {np}, and `hosts` {hosts} × `slots` {slots} is only {hosts * slots}",
            f"Raise slots to {-(-np // hosts)}, or leave slots out.",
        )
