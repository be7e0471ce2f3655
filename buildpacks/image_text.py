"""The Dockerfile of an app that nap compiled, rendered from a plan and its stack."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING

from buildpacks.errors import BuildpackError
from buildpacks.packs import folder
from buildpacks.plan import WEB, Plan
from buildpacks.stacks.stack import Stack

if TYPE_CHECKING:
    from jinja2 import Template

APP = "/app"
_TEMPLATES = Path(__file__).parent / "templates"


def dockerfile(plan: Plan, stack: Stack, uid: int, settled: bool) -> str:
    """Return the Dockerfile's text. The same arguments give the same bytes.

    The build context has the compiled tree in `program/app`; with `settled`, a part of it in `settled/app`.
    The program's files belong to the user `uid`, which also runs it.

    Raises:
        BuildpackError: a variable's value has a line break.
    """
    return _template().render(
        title=plan.built_by or plan.run_by,
        run_image=stack.run_image,
        env=environment(plan),
        command=_command(plan),
        uid=uid,
        settled=settled,
    )


def environment(plan: Plan) -> tuple[tuple[str, str], ...]:
    """Return the plan's variables with the app's folder in the image filled in."""
    return tuple((name, value.replace("{app}", APP)) for name, value in plan.env)


def _command(plan: Plan) -> tuple[str, ...]:
    """Return the image's default command: `web`, else the first process; none for an MPI program."""
    ordered = sorted(plan.processes, key=lambda process: process.name != WEB)
    return folder.command(ordered[0], plan.pack) if ordered else ()


@functools.cache
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["quoted"] = _quoted
    environment.filters["json"] = functools.partial(json.dumps, ensure_ascii=False)
    return environment.get_template("app.Dockerfile.j2")


def _quoted(value: str) -> str:
    """Quote a value for an ENV line. Raise BuildpackError for a line break, which ENV cannot hold."""
    if "\n" in value or "\r" in value:
        sentence = f"a variable's value has a line break in it: {value.splitlines()[0][:40]}"
        raise BuildpackError(sentence, "An image's variables are of one line each.")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"'
