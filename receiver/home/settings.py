"""The home's settings: a YAML file merged over commented defaults, which are also the schema."""

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
_SIZES = ("push_limit", "containers.build_memory")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_LAST_PORT = 65_535
_LONGEST = 80
# In bytes or seconds: more than any machine needs.
_LARGEST = 10**15
_CHOICES = {
    "mpi": ("auto", "machine", "wheel"),
    "etcd.api": ("auto", "v2", "v3"),
    "containers.runtime": ("auto", "podman", "docker"),
    "containers.network": ("app", "host"),
    "nodes.policy": ("pack", "spread"),
}
# Settings where 0 would mean that nothing works, or that nothing is ever removed.
_AT_LEAST_ONE = (
    "keep", "build_timeout", "gather_timeout", "answer_timeout", "containers.pids", "nodes.away",
    "nodes.first_port",
)  # fmt: skip
_KINDS = {str: "a text", int: "a whole number", bool: "true or false", dict: "a list of keys"}


@dataclass(frozen=True)
class EtcdNodeSettings:
    """How nodes authenticate to an etcd that is not nap's own. An empty field means the receiver's own value.

    `port` is the proxy port to which nodes announce when etcd is nap's own; 0 is any free one,
    which stays the same.
    """

    cert: str
    key: str
    user: str
    password_file: str
    port: int


@dataclass(frozen=True)
class EtcdSettings:
    """How to reach etcd. With an empty `url`, nap starts its own."""

    url: str
    api: Literal["auto", "v2", "v3"]
    ca: str
    cert: str
    key: str
    user: str
    password_file: str
    nodes: EtcdNodeSettings
    port: int
    timing: Timing


@dataclass(frozen=True)
class ContainerSettings:
    """How containers are run and built. `build_memory` is in bytes, None for no limit."""

    runtime: Literal["auto", "podman", "docker"]
    network: Literal["app", "host"]
    base: str
    pids: int
    build_memory: int | None


@dataclass(frozen=True)
class NodeSettings:
    """How nodes reach this machine, and how slaves are placed on them.

    `away` is in seconds: a node that does not answer for that long is given up.
    """

    address: str
    policy: Literal["pack", "spread"]
    first_port: int
    away: int


@dataclass(frozen=True)
class RegistrySettings:
    """The image registry. With an empty `url`, nap starts its own."""

    url: str
    user: str
    password_file: str
    token_file: str
    ca: str
    insecure: bool
    port: int


@dataclass(frozen=True)
class Settings:
    """All settings. Times are in seconds, sizes in bytes. `engines` maps engine names to their own blocks."""

    engine: str
    mpi: str
    etcd: EtcdSettings
    containers: ContainerSettings
    nodes: NodeSettings
    engines: Mapping[str, Mapping[str, Any]]
    registry: RegistrySettings
    build_timeout: int
    gather_timeout: int
    answer_timeout: int
    push_limit: int
    keep: int
    share: str
    maven: tuple[str, ...] = field(default=())


def load(path: Path) -> Settings:
    """Return the settings in `path`, merged over the defaults. ReceiverError names the wrong key."""
    given = _read(path) if os.path.lexists(path) else {}
    merged = _merge(_read(_DEFAULTS), given, str(path))
    etcd = merged["etcd"]
    timing = Timing(*(etcd.pop(name) for name in ("ttl", "refresh", "retry")))
    blocks = {
        "etcd": EtcdSettings(**{**etcd, "nodes": EtcdNodeSettings(**etcd["nodes"])}, timing=timing),
        "containers": _containers(merged["containers"], str(path)),
        "nodes": NodeSettings(**merged["nodes"]),
        "registry": RegistrySettings(**merged["registry"]),
        "share": _folder("share", merged["share"], str(path)),
        "push_limit": _size("push_limit", merged["push_limit"], str(path)),
        "maven": _words("maven", merged["maven"], str(path)),
    }
    engines = {name: merged[name] for name in merged.keys() - blocks if isinstance(merged[name], dict)}
    common = {name: merged[name] for name in merged.keys() - engines}
    return Settings(**{**common, **blocks}, engines=engines)


def _containers(block: Mapping[str, Any], path: str) -> ContainerSettings:
    memory = block["build_memory"]
    limit = _size("containers.build_memory", memory, path) if memory else None
    return ContainerSettings(**{**block, "build_memory": limit})


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        data = yaml.safe_load(path.read_text())
    # PyYAML raises ValueError for a date that does not exist, and for a number with too many digits.
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
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
    if isinstance(default, list):
        return _texts(value, name, path)
    sized = name in _SIZES and type(value) is int
    if (type(value) is not type(default) and not sized) or (isinstance(value, int) and value < 0):
        sentence = f"{path}: {name} is {_shown(value)}, which is not {_KINDS[type(default)]}"
        raise ReceiverError(sentence, f"see {_DEFAULTS}")
    if isinstance(value, int) and value > _LARGEST:
        raise ReceiverError(f"{path}: {name} is {_shown(value)}", f"the largest number is {_LARGEST}")
    if name in _AT_LEAST_ONE and value == 0:
        raise ReceiverError(f"{path}: {name} is 0", "the least is 1")
    if name.endswith("port") and value > _LAST_PORT:
        raise ReceiverError(f"{path}: {name} is {_shown(value)}", f"ports end at {_LAST_PORT}")
    allowed = _CHOICES.get(name)
    if allowed and value not in allowed:
        raise ReceiverError(f"{path}: {name} is {value!r}", f"allowed: {', '.join(allowed)}")
    return value


def _texts(value: object, name: str, path: str) -> list[str]:
    """Return the texts of a list, or a single text as a list, without empty ones."""
    given = value if isinstance(value, list) else [value]
    texts = [text for text in given if isinstance(text, str)]
    if texts != given:
        sentence = f"{path}: {name} is {_shown(value)}, which is not a text, or a list of texts"
        raise ReceiverError(sentence, f"see {_DEFAULTS}")
    return [text for text in texts if text]


def _shown(value: object) -> str:
    """Return a value for an error message, cut to a bounded length."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return "more than can be shown"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _folder(name: str, value: str, path: str) -> str:
    """Check a folder of nodes, empty for none. Container runtimes get it as FROM:TO, so it has no colon."""
    if value and not re.fullmatch(r"/[^:,\s]+", value):
        hint = "write a path such as /srv/share, without colons, commas and spaces"
        raise ReceiverError(f"{path}: {name} is {value!r}", hint)
    return value


def _words(name: str, value: str, path: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(value))
    except ValueError as error:
        hint = "quotes come in pairs"
        raise ReceiverError(f"{path}: {name} is {value!r}", hint) from error


def _size(name: str, value: object, path: str) -> int:
    match = re.fullmatch(r"(\d{1,12})([KMG]?)", str(value))
    if not match:
        raise ReceiverError(f"{path}: {name} is {value!r}", "write a size such as 200M or 2G")
    if size := int(match[1]) * _UNITS[match[2]]:
        return size
    raise ReceiverError(f"{path}: {name} is 0", "the least is 1")
