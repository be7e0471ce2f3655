"""Turn a job into unit files by an engine's templates. The same job gives the same bytes."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from units.job import UnitFile

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).parent / "templates"


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["json"] = _json
    return environment


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def render(name: str, template: str, values: Mapping[str, object]) -> UnitFile:
    """The unit `name` from a template such as `local/slaves.json.j2`; an unknown value is an error."""
    return UnitFile(name, _environment().get_template(template).render(values))
