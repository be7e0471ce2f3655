"""Turn a job into unit files by an engine's templates. The same job gives the same bytes."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from units import quoting
from units.job import Pairs, UnitFile

if TYPE_CHECKING:
    from jinja2 import Environment

_UNITS = Path(__file__).parent


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_UNITS),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["json"] = _json
    environment.filters["compose"] = quoting.compose
    environment.filters["key"] = quoting.key
    environment.filters["systemd"] = quoting.systemd
    return environment


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def render(name: str, template: str, values: Mapping[str, object]) -> UnitFile:
    """Return the unit `name` from a template such as `local/templates/slaves.json.j2`.

    A variable of the template that is not in `values` is an error (jinja2's UndefinedError).
    """
    return UnitFile(name, _environment().get_template(template).render(values))


def discovery(name: str, announces: str, key: str, value: str) -> UnitFile:
    """Return the unit that keeps `value` at `key` in etcd while the unit `announces` is alive."""
    values = {"name": name, "announces": announces, "key": key, "value": value}
    return render(name, "templates/discovery.json.j2", values)


def by_name(env: Pairs) -> list[tuple[str, str]]:
    """Return variables sorted by name, the last one of each name: the same job gives the same bytes."""
    return sorted(dict(env).items())
