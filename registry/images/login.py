"""Log in to a registry of images: turn its challenge into an Authorization header.

https://distribution.github.io/distribution/spec/auth/token/ describes the tokens.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.utils import parse_dict_header

from registry.errors import RegistryError
from registry.images.address import ImageRegistry

Send = Callable[..., requests.Response]


def authorization(registry: ImageRegistry, challenge: str, send: Send) -> str:
    """Return the header's value for `challenge`, a WWW-Authenticate header.

    `send(method, url, **options)` sends a request to the token server. Raise RegistryError when that refuses
    the login, when there is no login, and when the challenge's scheme is neither Basic nor Bearer.
    """
    scheme, _, rest = challenge.partition(" ")
    if scheme.lower() == "bearer":
        return f"Bearer {_token(registry, parse_dict_header(rest), send)}"
    if scheme.lower() != "basic":
        sentence = f"{registry.host} asks for a login that nap does not know: {scheme or 'no kind'}"
        raise RegistryError(sentence, "nap knows Basic and Bearer")
    if not registry.user:
        raise refused(registry)
    return _basic(registry)


def refused(registry: ImageRegistry) -> RegistryError:
    if registry.user:
        hint = "see registry.user, and registry.password_file or registry.token_file in the settings"
        return RegistryError(f"{registry.host} refuses the login of {registry.user!r}", hint)
    hint = "name registry.user and registry.password_file, or registry.token_file, in the settings"
    return RegistryError(f"{registry.host} asks for a login", hint)


def _basic(registry: ImageRegistry) -> str:
    pair = f"{registry.user}:{registry.password.value}"
    return f"Basic {b64encode(pair.encode()).decode()}"


def _token(registry: ImageRegistry, challenge: Mapping[str, str | None], send: Send) -> str:
    realm = challenge.get("realm") or ""
    if urlsplit(realm).scheme != "https" and not registry.insecure:
        sentence = f"{registry.host} wants its login sent to {realm!r}, where others could read it"
        raise RegistryError(sentence, "registry.insecure: true in the settings, on a network you trust")
    query = {name: challenge[name] for name in ("service", "scope") if name in challenge}
    headers = {"Authorization": _basic(registry)} if registry.user else {}
    answer = send("GET", realm, params=query, headers=headers)
    if answer.status_code in (400, 401, 403):
        raise refused(registry)
    return _read_token(registry, answer)


def _read_token(registry: ImageRegistry, answer: requests.Response) -> str:
    try:
        given: dict[str, Any] = answer.json()
        return str(given.get("token") or given["access_token"])
    except (requests.JSONDecodeError, KeyError, AttributeError) as error:
        sentence = f"{urlsplit(answer.url).netloc} gives no token for {registry.host} ({answer.status_code})"
        raise RegistryError(sentence, "try again later", retry=answer.status_code >= 429) from error
