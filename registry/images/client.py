"""A client of a registry of images: the part of its HTTP API that Podman and Docker have no command for.

https://distribution.github.io/distribution/spec/api/ describes it. Importing this loads requests.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from registry.errors import RegistryError, root_cause
from registry.images.address import ImageRegistry
from registry.images.login import authorization, refused

# Seconds: the timeout of a request.
ANSWER = 15.0
_PAGES = 1000
_MANIFESTS = ", ".join((
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
))  # fmt: skip


class RegistryClient:
    """One registry. All methods raise RegistryError, with `retry` set when a later attempt can succeed.

    Repositories are named without the registry's `path`. For one thread at a time.
    """

    def __init__(self, registry: ImageRegistry, answer: float = ANSWER) -> None:
        self._registry = registry
        self._answer = answer
        self._base = ""
        self._authorization = ""
        self._session = requests.Session()
        # No proxy from the environment for a registry on this machine.
        self._session.trust_env = not registry.is_here
        # Without an `auth`, requests would take a login for the host from ~/.netrc.
        self._session.auth = _as_it_is
        if registry.insecure:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def ping(self) -> None:
        """Raise RegistryError unless a registry answers, and accepts the login (if one is given)."""
        answer = self._ask("GET", "")
        ours = "Docker-Distribution-Api-Version" in answer.headers
        if answer.status_code != 200 or not (ours or "json" in answer.headers.get("Content-Type", "")):
            raise RegistryError(
                f"what answers at {self._registry.host} is no registry of images",
                "see registry.url in the settings",
            )

    def digest(self, repository: str, tag: str) -> str | None:
        """Return the digest of the image with this `tag` (or digest); None when there is none."""
        answer = self._ask("HEAD", f"{self._name(repository)}/manifests/{tag}", accept=_MANIFESTS)
        if answer.status_code == 404:
            return None
        self._expect(answer, 200)
        return str(answer.headers["Docker-Content-Digest"])

    def has(self, repository: str, digest: str) -> bool:
        return self.digest(repository, digest) is not None

    def tags(self, repository: str) -> list[str]:
        """Return all tags of the repository; none when there is no such repository."""
        path, tags = f"{self._name(repository)}/tags/list", list[str]()
        for _ in range(_PAGES):
            answer = self._ask("GET", path)
            if answer.status_code == 404:
                break
            self._expect(answer, 200)
            tags += answer.json()["tags"] or ()
            if "next" not in answer.links:
                break
            path = answer.links["next"]["url"]
        return tags

    def tag(self, repository: str, digest: str, tag: str) -> None:
        place = f"{self._name(repository)}/manifests"
        found = self._ask("GET", f"{place}/{digest}", accept=_MANIFESTS)
        self._expect(found, 200)
        kind = found.headers["Content-Type"]
        self._expect(self._ask("PUT", f"{place}/{tag}", data=found.content, kind=kind), 201)

    def delete(self, repository: str, digest: str) -> bool:
        """Remove the image with all of its tags. Return False when there was none."""
        answer = self._ask("DELETE", f"{self._name(repository)}/manifests/{digest}")
        return self._was_deleted(answer)

    def round_trip(self, repository: str) -> None:
        """Upload a few bytes, read them back, and remove them if the registry allows it."""
        data = os.urandom(32)
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self._upload(repository, data, digest)
        path = f"{self._name(repository)}/blobs/{digest}"
        answer = self._ask("GET", path)
        self._expect(answer, 200)
        if answer.content != data:
            raise RegistryError(f"{self._registry.host} gives back other bytes than it was given")
        if self._ask("DELETE", path).status_code not in (200, 202, 404, 405):
            raise RegistryError(f"{self._registry.host} keeps what is deleted")

    def _upload(self, repository: str, data: bytes, digest: str) -> None:
        begun = self._ask("POST", f"{self._name(repository)}/blobs/uploads/")
        self._expect(begun, 202)
        place = urljoin(begun.url, begun.headers["Location"])
        separator = "&" if urlsplit(place).query else "?"
        done = self._ask("PUT", f"{place}{separator}digest={digest}", data=data)
        self._expect(done, 201)

    def _was_deleted(self, answer: requests.Response) -> bool:
        if answer.status_code == 404:
            return False
        if answer.status_code == 405:
            raise RegistryError(
                f"{self._registry.host} does not let images be deleted",
                "let the registry's own rules remove old ones",
            )
        self._expect(answer, 200, 202)
        return True

    def _name(self, repository: str) -> str:
        return self._registry.repository(repository)

    def _ask(
        self,
        method: str,
        path: str,
        accept: str = "*/*",
        data: bytes | None = None,
        kind: str = "application/octet-stream",
    ) -> requests.Response:
        """Return the answer. When the registry asks for a login, send the request once more with one."""
        url = urljoin(f"{self._find_base()}/v2/", path)
        headers = {"Accept": accept, "Content-Type": kind}
        answer = self._send(method, url, headers={**headers, **self._login(url)}, data=data)
        challenge = answer.headers.get("WWW-Authenticate")
        if answer.status_code == 401 and challenge:
            self._authorization = authorization(self._registry, challenge, self._send)
            answer = self._send(method, url, headers={**headers, **self._login(url)}, data=data)
        if answer.status_code == 401:
            raise self._refusal(answer)
        return answer

    def _login(self, url: str) -> dict[str, str]:
        """Return the header with the login for this URL; none for blobs that are kept on another host."""
        ours = urlsplit(url).netloc == self._registry.api_host
        return {"Authorization": self._authorization} if ours and self._authorization else {}

    def _find_base(self) -> str:
        """Return the base URL: https, or http for an `insecure` registry that does not answer to https."""
        if not self._base:
            base = f"https://{self._registry.api_host}"
            if self._registry.insecure:
                try:
                    self._session.get(f"{base}/v2/", timeout=self._answer, verify=False)
                except requests.ConnectionError:
                    base = f"http://{self._registry.api_host}"
            self._base = base
        return self._base

    def _send(self, method: str, url: str, **options: Any) -> requests.Response:
        verify = False if self._registry.insecure else self._registry.ca or True
        try:
            return self._session.request(method, url, timeout=self._answer, verify=verify, **options)
        except requests.exceptions.SSLError as error:
            raise self._untrusted(error) from error
        except OSError as error:
            # An error of requests, or a missing CA file.
            sentence = f"{urlsplit(url).netloc} cannot be reached: {root_cause(error)}"
            hint = "see that it runs (nap's own comes up with: nap up); nap doctor tries it"
            raise RegistryError(sentence, hint, retry=True) from error

    def _untrusted(self, error: requests.exceptions.SSLError) -> RegistryError:
        host, said = self._registry.host, str(error)
        if "WRONG_VERSION_NUMBER" in said or "record layer failure" in said:
            hint = "registry.insecure: true in the settings, on a network you trust"
            return RegistryError(f"{host} does not speak TLS", hint)
        if "CERTIFICATE_VERIFY_FAILED" in said:
            hint = "name the authority that signed it: registry.ca in the settings"
            why = said.rpartition("certificate verify failed: ")[2].partition(" (_ssl")[0]
            return RegistryError(f"the certificate of {host} is not trusted: {why}", hint)
        return RegistryError(f"{host} cannot be spoken to with TLS: {root_cause(error)}", retry=True)

    def _refusal(self, answer: requests.Response) -> RegistryError:
        if "insufficient_scope" in answer.headers.get("WWW-Authenticate", ""):
            return self._forbidden(answer)
        return refused(self._registry)

    def _forbidden(self, answer: requests.Response) -> RegistryError:
        host, user = self._registry.host, self._registry.user
        whom = f"{user!r} may not" if user else "nobody may without a login"
        return RegistryError(f"{whom} do this at {host}: {_said(answer)}", "ask who runs the registry")

    def _expect(self, answer: requests.Response, *wanted: int) -> None:
        code = answer.status_code
        if code in wanted:
            return
        if code == 403:
            raise self._forbidden(answer)
        later = code == 429 or code >= 500
        sentence = f"{self._registry.host} answers {code}: {_said(answer)}"
        raise RegistryError(sentence, "see: nap doctor", retry=later)


def _said(answer: requests.Response) -> str:
    try:
        first = answer.json()["errors"][0]
        return str(first.get("message") or first["code"])
    except (requests.JSONDecodeError, LookupError, TypeError, AttributeError):
        return answer.reason or "nothing more"


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
