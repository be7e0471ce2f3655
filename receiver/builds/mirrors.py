"""How builds reach the network: the machine's proxies, mirrors, and certificate authorities.

The values can contain passwords: pass them to builds alone, and never in an argv.
"""

from __future__ import annotations

import configparser
from collections.abc import Iterable, Mapping
from pathlib import Path

_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE")
_PIPS_OWN = Path("/etc/pip.conf")


def variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables in `environ` that pip, mvn and other tools read for this."""
    return {name: value for name, value in environ.items() if name in _PROXIES or name.startswith("PIP_")}


def files(named: Mapping[str, str], settings: Path = _PIPS_OWN) -> tuple[Path, ...]:
    """Return the files a build container needs: pip's settings, and the paths in those and in `named`."""
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
    """Return `paths` without those inside another one of them, and without `/`, which is never shared."""
    found = {path for path in paths if path != Path("/")}
    return sorted(path for path in found if not found & set(path.parents))
