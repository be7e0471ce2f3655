"""The home's settings: a YAML file over commented defaults, which are also the schema."""

from __future__ import annotations

import difflib
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from receiver.errors import ReceiverError
from registry.timing import Timing

_DEFAULTS = Path(__file__).with_name("settings.yaml")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_CHOICES = {"engine": ("local",), "mpi": ("auto", "machine", "wheel"), "etcd.api": ("auto", "v2", "v3")}


@dataclass(frozen=True)
class EtcdSettings:
    """Where etcd is; without a `url` nap starts one of its own."""

    url: str
    api: Literal["auto", "v2", "v3"]
    ca: str
    cert: str
    key: str
    user: str
    password_file: str
    port: int
    timing: Timing


@dataclass(frozen=True)
class Settings:
    """Times are in seconds, sizes in bytes."""

    engine: str
    mpi: str
    etcd: EtcdSettings
    build_timeout: int
    gather_timeout: int
    answer_timeout: int
    push_limit: int
    keep: int
    maven: tuple[str, ...] = field(default=())


def load(path: Path) -> Settings:
    """The settings in `path`, over the defaults; an error names the key that is wrong."""
    given = _read(path) if os.path.lexists(path) else {}
    merged = _merge(_read(_DEFAULTS), given, str(path))
    etcd = merged["etcd"]
    timing = Timing(*(etcd.pop(name) for name in ("ttl", "refresh", "retry")))
    merged["push_limit"] = _size(str(merged["push_limit"]), str(path))
    merged["maven"] = tuple(shlex.split(merged["maven"]))
    return Settings(**{**merged, "etcd": EtcdSettings(**etcd, timing=timing)})


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        data = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        said = (isinstance(error, OSError) and error.strerror) or " ".join(str(error).split())
        raise ReceiverError(f"{path} cannot be read: {said}", f"see {_DEFAULTS}") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ReceiverError(f"{path} is not a list of `key: value` lines", f"see {_DEFAULTS}")
    return data


def _merge(
    defaults: Mapping[str, Any], given: Mapping[str, Any], path: str, within: str = ""
) -> dict[str, Any]:
    merged = dict(defaults)
    for key, value in given.items():
        name = f"{within}{key}"
        if key not in defaults:
            near = difflib.get_close_matches(str(key), defaults, n=1)
            raise ReceiverError(
                f"{path} has a key that nap does not know: {name}",
                f"did you mean {within}{near[0]}?" if near else f"the keys are {', '.join(defaults)}",
            )
        merged[key] = _checked(defaults[key], value, name, path)
    return merged


def _checked(default: Any, value: Any, name: str, path: str) -> Any:
    if isinstance(default, dict) and isinstance(value, dict):
        return _merge(default, value, path, f"{name}.")
    sized = name == "push_limit" and isinstance(value, int)
    if (type(value) is not type(default) and not sized) or (isinstance(value, int) and value < 0):
        kind = {str: "a text", int: "a whole number", dict: "a list of keys"}[type(default)]
        raise ReceiverError(f"{path}: {name} is {value!r}, which is not {kind}")
    allowed = _CHOICES.get(name)
    if allowed and value not in allowed:
        raise ReceiverError(f"{path}: {name} is {value!r}", f"allowed: {', '.join(allowed)}")
    return value


def _size(text: str, path: str) -> int:
    match = re.fullmatch(r"(\d{1,12})([KMG]?)", text)
    if not match:
        raise ReceiverError(f"{path}: push_limit is {text!r}", "write a size such as 200M or 2G")
    return int(match[1]) * _UNITS[match[2]]
