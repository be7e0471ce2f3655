"""The plan: how a tree is built and how it is run. Data only; the ledger stores it as JSON."""

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from buildpacks.mpi_xml.manifest import Manifest

WEB = "web"


@dataclass(frozen=True)
class Step:
    """One build command, run in the tree's root; `shown` is its text in messages.

    An element of `argv` that is exactly `{tree}`, `{cache}` or `{env}` stands for that absolute
    folder, `{python}` for the build site's Python with pip: on the machine itself, nap's own interpreter.
    """

    argv: tuple[str, ...]
    shown: str


@dataclass(frozen=True)
class Process:
    """A line of a profile. `command` is the user's shell text, or "" for the image's own command."""

    name: str
    command: str


@dataclass(frozen=True)
class Plan:
    """How a tree is built and run.

    `built_by` is `mpi.xml`, `pom.xml`, `Dockerfile`, a pack's name, or "" when nothing has to be
    built. `manifest` or `processes` describes the run; before `release`, both are empty when the
    builder supplies the processes. With `lands_first`, `src/` is moved up before the steps, else after
    them. `products` are the programs that the build has to leave. In the values of `env`, `{app}`
    stands for the app's folder at run time. `pack` names a folder pack with a digest of its files,
    so that a changed pack changes the plan. `module` is the Python module that starts a Python
    program on the ranks, or "" when Python runs it directly.
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
        """Whether the app stays up, as with a `web` line in its profile; without one it runs to its end."""
        return any(process.name == WEB for process in self.processes)


def to_json(plan: Plan) -> str:
    """Return the plan as canonical JSON: equal plans give equal bytes."""
    return json.dumps(asdict(plan), sort_keys=True, separators=(",", ":"))


def from_json(text: str) -> Plan:
    """Return the plan from the text of `to_json`."""
    plan = Plan(**{name: _frozen(value) for name, value in json.loads(text).items()})
    return replace(
        plan,
        steps=tuple(Step(**step) for step in _mappings(plan.steps)),
        processes=tuple(Process(**process) for process in _mappings(plan.processes)),
        manifest=Manifest(**plan.manifest) if isinstance(plan.manifest, dict) else None,
    )


def _frozen(value: Any) -> Any:
    """Return `value` with every list turned back into a tuple: JSON does not distinguish them."""
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, dict):
        return {name: _frozen(item) for name, item in value.items()}
    return value


def _mappings(items: Any) -> tuple[dict[str, Any], ...]:
    return tuple(items)
