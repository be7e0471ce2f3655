"""What the API is asked by others than `nap`: each question has an answer, in a sentence."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Callable, Iterator

import pytest
from support.nap_home import App, NapHome

pytestmark = pytest.mark.lab


@pytest.fixture
def app(new_app: Callable[..., App]) -> App:
    return new_app({"profile": "true\n"})


@pytest.fixture
def connection(home: NapHome) -> Iterator[http.client.HTTPConnection]:
    made = http.client.HTTPConnection("localhost")
    made.sock = socket.socket(socket.AF_UNIX)
    folder = os.open(home.root, os.O_PATH)
    made.sock.connect(f"/proc/self/fd/{folder}/nap.sock")
    os.close(folder)
    yield made
    made.close()


def refused(connection: http.client.HTTPConnection, method: str, path: str, body: bytes = b"") -> str:
    connection.request(method, path, body)
    response = connection.getresponse()
    told = json.loads(response.read())
    assert response.status in (400, 404)
    assert told["hint"]
    return str(told["error"])


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000])
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/apps"), ("PATCH", "/apps/{}/config"), ("POST", "/apps/{}/runs")]
)
def test_a_body_that_is_no_object_is_refused(
    connection: http.client.HTTPConnection, app: App, method: str, path: str, body: bytes
) -> None:
    assert "not a JSON object" in refused(connection, method, path.format(app.name), body)


@pytest.mark.parametrize("number", ["-1", "1.5", "9" * 30, "%C2%B2", "%D9%A3", "%00"])
def test_what_is_no_number_of_a_run_is_refused(
    connection: http.client.HTTPConnection, app: App, number: str
) -> None:
    told = refused(connection, "GET", f"/apps/{app.name}/runs/{number}")
    assert "is not the number of a run" in told


@pytest.mark.parametrize("number", ["0", "7", "latest"])
def test_a_run_that_never_was_is_refused(
    connection: http.client.HTTPConnection, app: App, number: str
) -> None:
    assert app.name in refused(connection, "GET", f"/apps/{app.name}/runs/{number}/log?follow=1")


@pytest.mark.parametrize("name", ["a%2Fb", "%C3%A9", "%00", "", ".."])
def test_an_app_of_any_name_is_looked_for_and_not_found(
    connection: http.client.HTTPConnection, name: str
) -> None:
    assert "there is no" in refused(connection, "DELETE", f"/apps/{name}")
