"""A registry of images over HTTP: what is there, and every way to be refused in a sentence."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from support.containers.image_registry import LabRegistry, free_port, put_image, with_password

from registry import RegistryError
from registry.etcd.endpoint import Secret
from registry.images.address import ImageRegistry
from registry.images.client import RegistryClient

DIGEST = f"sha256:{'0a' * 32}"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageRegistry]:
    lab = LabRegistry(tmp_path_factory.mktemp("registry"), login=("nap", "right"))
    yield lab.start()
    lab.stop()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabRegistry]:
    """One with TLS and a login."""
    lab = LabRegistry(tmp_path_factory.mktemp("guarded"), login=("nap", "right"), tls=True)
    lab.start()
    yield lab
    lab.stop()


def refusal_of(registry: ImageRegistry) -> RegistryError:
    with pytest.raises(RegistryError) as refusal:
        RegistryClient(registry).ping()
    assert "\n" not in refusal.value.message
    assert registry.password.value not in refusal.value.message or not registry.password
    return refusal.value


def test_an_image_that_was_pushed_is_there(registry: ImageRegistry) -> None:
    client = RegistryClient(registry)
    digest = put_image(registry, "there", "v1")
    assert client.digest("there", "v1") == digest
    assert client.has("there", digest)
    assert not client.has("there", DIGEST)
    assert client.digest("nowhere", "v1") is None


def test_an_image_is_removed_with_all_of_its_tags(registry: ImageRegistry) -> None:
    client = RegistryClient(registry)
    old, new = put_image(registry, "removed", "v1", "v2"), put_image(registry, "removed", "v3")
    assert sorted(client.tags("removed")) == ["v1", "v2", "v3"]
    assert client.delete("removed", old)
    assert client.tags("removed") == ["v3"]
    assert client.has("removed", new)


def test_removing_what_is_not_there_is_no_error(registry: ImageRegistry) -> None:
    assert not RegistryClient(registry).delete("nowhere", DIGEST)
    assert RegistryClient(registry).tags("nowhere") == []


def test_repositories_are_below_the_path(registry: ImageRegistry) -> None:
    below = replace(registry, path="team/mpi")
    digest = put_image(below, "hello_image", "v1")
    assert RegistryClient(below).has("hello_image", digest)
    assert RegistryClient(registry).has("team/mpi/hello_image", digest)


def test_a_round_trip_leaves_nothing(registry: ImageRegistry) -> None:
    RegistryClient(registry).round_trip("nap_check")
    assert RegistryClient(registry).tags("nap_check") == []


def test_a_wrong_password_is_refused(registry: ImageRegistry) -> None:
    error = refusal_of(with_password(registry, "wrong"))
    assert error.message == f"{registry.host} refuses the login of 'nap'"
    assert "registry.password_file" in error.hint
    assert not error.retry


def test_a_login_of_netrc_is_not_taken(
    registry: ImageRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login nap password right\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert "asks for a login" in refusal_of(replace(registry, user="", password=Secret())).message


def test_a_proxy_is_not_asked_for_what_is_here(
    registry: ImageRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    RegistryClient(registry).ping()


def test_with_its_authority_a_certificate_is_trusted(guarded: LabRegistry) -> None:
    RegistryClient(guarded.registry).round_trip("nap_check")


def test_an_unknown_authority_is_refused(guarded: LabRegistry) -> None:
    error = refusal_of(replace(guarded.registry, ca=""))
    assert "is not trusted: " in error.message
    assert "registry.ca" in error.hint
    assert not error.retry


def test_another_authority_is_refused(guarded: LabRegistry, tmp_path: Path) -> None:
    from registry import certificates

    other = certificates.ensure(tmp_path / "tls").ca
    assert "is not trusted" in refusal_of(replace(guarded.registry, ca=str(other))).message


def test_an_authority_that_is_not_there_is_named(guarded: LabRegistry, tmp_path: Path) -> None:
    assert (
        str(tmp_path / "ca.crt") in refusal_of(replace(guarded.registry, ca=str(tmp_path / "ca.crt"))).message
    )


def test_insecure_takes_any_certificate(guarded: LabRegistry) -> None:
    RegistryClient(replace(guarded.registry, ca="", insecure=True)).ping()


def test_plain_http_is_refused_unless_it_is_said(registry: ImageRegistry) -> None:
    error = refusal_of(replace(registry, insecure=False))
    assert error.message == f"{registry.host} does not speak TLS"
    assert "registry.insecure" in error.hint


def test_one_that_is_away_may_come_back() -> None:
    error = refusal_of(ImageRegistry(f"127.0.0.1:{free_port()}", insecure=True))
    assert "cannot be reached: Connection refused" in error.message
    assert error.retry


def test_a_host_that_has_no_address_cannot_be_reached() -> None:
    error = refusal_of(ImageRegistry("registry.invalid"))
    assert "registry.invalid cannot be reached" in error.message


class Tokens(BaseHTTPRequestHandler):
    """A registry, and beside it a server that gives tokens to `ada`: as Docker Hub, GHCR and GitLab do."""

    asked: list[dict[str, list[str]]]

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/token":
            self._give(parse_qs(url.query))
        elif url.path == "/v2/hello_image/tags/list":
            self._guarded("repository:hello_image:pull", {"name": "hello_image", "tags": ["v1"]})
        else:
            self._guarded("", {})

    def do_DELETE(self) -> None:
        scope = "repository:hello_image:delete"
        self._challenge(f'scope="{scope}",error="insufficient_scope"', "may not be deleted")

    def _give(self, query: dict[str, list[str]]) -> None:
        self.asked.append(query)
        login = b64encode(b"ada:secret").decode()
        if self.headers.get("Authorization") != f"Basic {login}":
            self._answer(401, {"errors": [{"code": "UNAUTHORIZED", "message": "no"}]})
        else:
            self._answer(200, {"access_token": f"for {query.get('scope', [''])[0]}"})

    def _guarded(self, scope: str, value: dict[str, object]) -> None:
        if self.headers.get("Authorization") == f"Bearer for {scope}":
            self._answer(200, value)
        else:
            self._challenge(f'scope="{scope}"' if scope else "", "log in")

    def _challenge(self, more: str, message: str) -> None:
        realm = f"http://{self.headers['Host']}/token"
        challenge = ",".join(filter(None, [f'Bearer realm="{realm}",service="lab"', more]))
        self._answer(401, {"errors": [{"code": "DENIED", "message": message}]}, challenge)

    def _answer(self, code: int, value: dict[str, object], challenge: str = "") -> None:
        body = json.dumps(value).encode()
        self.send_response(code)
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing on the tests' terminal."""


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[ImageRegistry]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield ImageRegistry(
            f"127.0.0.1:{server.server_port}", insecure=True, user="ada", password=Secret("secret")
        )
        server.shutdown()


@pytest.fixture
def tokens() -> Iterator[ImageRegistry]:
    Tokens.asked = []
    with serving(Tokens) as registry:
        yield registry


def test_a_token_is_fetched_for_what_is_asked(tokens: ImageRegistry) -> None:
    client = RegistryClient(tokens)
    client.ping()
    assert client.tags("hello_image") == ["v1"]
    assert Tokens.asked == [
        {"service": ["lab"]},
        {"service": ["lab"], "scope": ["repository:hello_image:pull"]},
    ]


def test_a_login_that_gets_no_token_is_refused(tokens: ImageRegistry) -> None:
    assert "refuses the login of 'ada'" in refusal_of(with_password(tokens, "wrong")).message


def test_a_token_that_is_not_enough_is_told_from_a_wrong_login(tokens: ImageRegistry) -> None:
    with pytest.raises(RegistryError, match=r"'ada' may not do this at .*: may not be deleted"):
        RegistryClient(tokens).delete("hello_image", DIGEST)


def test_a_login_is_not_sent_in_the_clear_unless_it_is_said(tokens: ImageRegistry) -> None:
    from registry.images.login import authorization

    challenge = 'Bearer realm="http://elsewhere.example/token"'
    with pytest.raises(RegistryError, match="where others could read it"):
        authorization(replace(tokens, insecure=False), challenge, pytest.fail)


class Website(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing on the tests' terminal."""


def test_what_is_no_registry_is_told_so() -> None:
    with serving(Website) as website:
        assert "is no registry of images" in refusal_of(website).message
