"""The plan: how a tree is built and how it is run. Data only; the ledger keeps it as JSON."""

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from buildpacks.mpi_xml.manifest import Manifest

WEB = "web"


@dataclass(frozen=True)
class Step:
    """One build command, run with the tree as working directory.

    An element of `argv` that is exactly `{tree}`, `{cache}` or `{env}` stands for that absolute
    folder, `{python}` for the interpreter nap itself runs on (the one that surely has pip).
    """

    argv: tuple[str, ...]
    shown: str


@dataclass(frozen=True)
class Process:
    """A line of a profile: `command` is shell text the user wrote, "" for the image's own command."""

    name: str
    command: str


@dataclass(frozen=True)
class Plan:
    """What a buildpack answers.

    `built_by` is `mpi.xml`, `pom.xml`, `Dockerfile`, a pack's name, or "" when nothing has to be
    built. `manifest` or `processes` says how to run; both are empty for a Dockerfile's own
    command, and before `release` has looked at what was built. In the values of `env`, `{app}`
    stands for the app's folder where it runs. `pack` names a folder pack with a digest of its
    files, so that a changed pack is a changed plan. `module` is the Python module that runs a Python
    program on the ranks, "" where Python does it alone.
    """

    built_by: str
    run_by: str
    stack: str
    languages: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    lands_first: bool = False
    products: tuple[str, ...] = ()
    manifest: Manifest | None = None
    processes: tuple[Process, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    pack: str | None = None
    module: str = ""

    @property
    def service(self) -> bool:
        """A profile with a web line stays up; one without runs to its end."""
        return any(process.name == WEB for process in self.processes)


def to_json(plan: Plan) -> str:
    """The canonical text of a plan: equal plans have equal bytes."""
    return json.dumps(asdict(plan), sort_keys=True, separators=(",", ":"))


def from_json(text: str) -> Plan:
    """The plan `to_json` wrote."""
    plan = Plan(**{name: _frozen(value) for name, value in json.loads(text).items()})
    return replace(
        plan,
        steps=tuple(Step(**step) for step in _mappings(plan.steps)),
        processes=tuple(Process(**process) for process in _mappings(plan.processes)),
        manifest=Manifest(**plan.manifest) if isinstance(plan.manifest, dict) else None,
    )


def _frozen(value: Any) -> Any:
    """Every list of a plan is a tuple: JSON knows no difference."""
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, dict):
        return {name: _frozen(item) for name, item in value.items()}
    return value


def _mappings(items: Any) -> tuple[dict[str, Any], ...]:
    return tuple(items)
