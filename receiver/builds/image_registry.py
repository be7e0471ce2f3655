"""This home's image registry, either the one in the settings or nap's own, and its login files."""

from __future__ import annotations

import os
from pathlib import Path

from receiver.errors import ReceiverError
from receiver.home.paths import Home
from receiver.home.settings import RegistrySettings, Settings
from receiver.text.output import Say
from registry.etcd.endpoint import Secret
from registry.files import write_private
from registry.images import server as image_server
from registry.images.address import ImageRegistry, parse
from units.oci import runtime as runtimes
from units.oci.runtime import Runtime

# The user name sent with a token when the settings give none: many registries read the token alone.
_TOKENS_USER = "token"
_NO_LOGINS = '{"auths": {}}'


def have(home: Home, settings: RegistrySettings, say: Say) -> ImageRegistry:
    """Return the registry once it answers, with its login where Podman and Docker find it. Idempotent.

    nap's own is started when the settings name none. Raises RegistryError or ReceiverError when the registry
    does not answer, or refuses the login.
    """
    from registry.images.client import RegistryClient

    if settings.url:
        registry = configured(settings)
    else:
        registry = image_server.start(home.image_registry, _log(home), say, settings.port)
    RegistryClient(registry).ping()
    write_logins(home.logins, registry)
    return registry


def stop(home: Home, say: Say) -> None:
    """Stop nap's own registry, if it runs."""
    if image_server.pid(home.image_registry):
        image_server.stop(home.image_registry, _log(home))
        say("registry of images stopped")


def of(home: Home, settings: RegistrySettings) -> ImageRegistry:
    """Return the registry without contacting it. ReceiverError when nap's own was never started."""
    registry = configured(settings) if settings.url else image_server.known(home.image_registry)
    if registry is None:
        raise ReceiverError("there is no registry of images yet", "nap up --engine containers")
    return registry


def runtime(home: Home, settings: Settings) -> Runtime:
    """Return the container runtime that the settings name, with the registry's logins and options."""
    registry = of(home, settings.registry)
    return runtimes.find(settings.containers.runtime, home.logins, flags(home.logins, registry))


def configured(settings: RegistrySettings) -> ImageRegistry:
    """Return the registry that the settings name. RegistryError or ReceiverError names the wrong key."""
    host, path = parse(settings.url)
    if settings.ca and not (Path(settings.ca).is_file() and os.access(settings.ca, os.R_OK)):
        sentence = f"registry.ca is {settings.ca!r}, where there is no file to be read"
        raise ReceiverError(sentence, "name a PEM file")
    user, password = _login(settings)
    return ImageRegistry(host, path, settings.ca, settings.insecure, user, password)


def _login(settings: RegistrySettings) -> tuple[str, Secret]:
    if settings.password_file and settings.token_file:
        hint = "leave one of them out"
        raise ReceiverError("registry.password_file and registry.token_file are both given", hint)
    if settings.token_file:
        return settings.user or _TOKENS_USER, secret("registry.token_file", settings.token_file)
    if bool(settings.user) != bool(settings.password_file):
        lacks = "registry.user" if settings.password_file else "registry.password_file"
        raise ReceiverError(f"a login to {settings.url} lacks {lacks}", "a login is a user and a password")
    if ":" in settings.user:
        raise ReceiverError(
            f"registry.user is {settings.user!r}, with a colon in it", "a password has a file"
        )
    if settings.password_file:
        return settings.user, secret("registry.password_file", settings.password_file)
    return "", Secret()


def secret(key: str, file: str) -> Secret:
    """Return the content of `file`, which the setting `key` names; an empty Secret when `file` is empty.

    ReceiverError when the file cannot be read or is empty.
    """
    if not file:
        return Secret()
    try:
        found = Secret(Path(file).read_text().strip())
    except (OSError, UnicodeDecodeError) as error:
        why = (isinstance(error, OSError) and error.strerror) or "it is no text"
        raise ReceiverError(f"{key} names {file}, which cannot be read: {why}", "see the settings") from error
    if not found:
        raise ReceiverError(f"{key} names {file}, which is empty", "write the secret into it")
    return found


def write_logins(folder: Path, registry: ImageRegistry) -> None:
    """Write `config.json`, and `certs/ca.crt` for Podman, to `folder`. Up-to-date files are not rewritten."""
    folder.mkdir(mode=0o700, exist_ok=True)
    _write_anew(folder / "config.json", (registry.logins() or _NO_LOGINS).encode())
    if registry.ca:
        _certificates(folder).mkdir(mode=0o700, exist_ok=True)
        _write_anew(_certificates(folder) / "ca.crt", Path(registry.ca).read_bytes())


def _write_anew(path: Path, data: bytes) -> None:
    if not path.exists() or path.read_bytes() != data:
        write_private(path, data)


def _certificates(logins: Path) -> Path:
    return logins / "certs"


def flags(logins: Path, registry: ImageRegistry) -> tuple[str, ...]:
    """Return Podman's options for each pull and push. Docker's daemon reads its own settings instead."""
    if registry.insecure:
        return ("--tls-verify=false",)
    return ("--cert-dir", str(_certificates(logins))) if registry.ca else ()


def _log(home: Home) -> Path:
    return home.log / "registry.log"
