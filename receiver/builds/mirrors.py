"""How builds reach the network here: proxies, mirrors, and who vouches for them.

There may be passwords in it: it is for builds alone, and for no command line.
"""

from __future__ import annotations

import configparser
from collections.abc import Iterable, Mapping
from pathlib import Path

_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE")
_PIPS_OWN = Path("/etc/pip.conf")


def variables(environ: Mapping[str, str]) -> dict[str, str]:
    """What pip, mvn and others read in their environment."""
    return {name: value for name, value in environ.items() if name in _PROXIES or name.startswith("PIP_")}


def files(named: Mapping[str, str], settings: Path = _PIPS_OWN) -> tuple[Path, ...]:
    """What a build elsewhere needs of this machine: pip's settings, and the files they and `named` name."""
    words = [word for value in (*named.values(), *_settings(settings)) for word in value.split()]
    paths = (Path(word.removeprefix("file://")) for word in words if word.startswith(("/", "file:///")))
    own = [settings] if settings.is_file() else []
    return tuple(dict.fromkeys((*own, *_outermost(path for path in paths if path.exists()))))


def _settings(path: Path) -> list[str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read(path)
    except configparser.Error:
        return []
    return [value for section in parser.sections() for value in parser[section].values()]


def _outermost(paths: Iterable[Path]) -> list[Path]:
    """Without what is in a folder that is among them; the root is nothing to be handed on."""
    found = {path for path in paths if path != Path("/")}
    return sorted(path for path in found if not found & set(path.parents))
