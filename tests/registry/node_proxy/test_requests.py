"""Which requests of nodes are an announcer's, and about what was signed for them."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import urlencode

import pytest

from registry.node_proxy.requests import LONGEST_TTL, USER, Refused, Request, read, run_of, sign

SECRET, FOLDER = "secret", "/h1/services"
KEY, VALUE = "/h1/services/mpi/heat/slaves/slave1", '{"node":"n\'ö%+&1","run":7}'


def signed(key: str = KEY, value: str = VALUE, secret: str = SECRET) -> str:
    return "Basic " + b64encode(f"{USER}:{sign(secret, key, value)}".encode()).decode()


def said(method: str, target: str, body: str = "", authorization: str = "") -> Request:
    return read(method, target, authorization or signed(), body.encode(), SECRET, FOLDER)


def form(**fields: str) -> str:
    return urlencode(fields)


PUT = form(ttl="60", value=VALUE)


def test_the_three_requests_of_the_script_are_understood() -> None:
    assert said("PUT", f"/v2/keys{KEY}", PUT) == Request("put", KEY, VALUE, 60)
    refresh = form(ttl="60", refresh="true", prevValue=VALUE)
    assert said("PUT", f"/v2/keys{KEY}", refresh) == Request("refresh", KEY, VALUE, 60)
    assert said("DELETE", f"/v2/keys{KEY}?{form(prevValue=VALUE)}") == Request("remove", KEY, VALUE)


def test_no_key_outlives_its_announcer_by_more_than_a_day() -> None:
    assert said("PUT", f"/v2/keys{KEY}", form(ttl="999999999", value=VALUE)).ttl == LONGEST_TTL


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("GET", f"/v2/keys{KEY}", ""),
        ("GET", f"/v2/keys{KEY}?recursive=true&wait=true", ""),
        ("POST", f"/v2/keys{KEY}", PUT),
        ("PUT", "/v2/keys", PUT),
        ("PUT", "/v2/auth/enable", PUT),
        ("PUT", "/v3/kv/put", PUT),
        ("POST", "/v3/kv/txn", "{}"),
        ("PUT", f"http://elsewhere/v2/keys{KEY}", PUT),
        ("PUT", f"/v2/keys{KEY}?dir=true", PUT),
        ("PUT", f"/v2/keys{KEY}", ""),
        ("PUT", f"/v2/keys{KEY}", form(value=VALUE)),
        ("PUT", f"/v2/keys{KEY}", form(ttl="0", value=VALUE)),
        ("PUT", f"/v2/keys{KEY}", form(ttl="-1", value=VALUE)),
        ("PUT", f"/v2/keys{KEY}", form(ttl="60", value="")),
        ("PUT", f"/v2/keys{KEY}", f"{PUT}&value=other"),
        ("PUT", f"/v2/keys{KEY}", f"{PUT}&prevExist=false"),
        ("PUT", f"/v2/keys{KEY}", f"{PUT}&dir=true"),
        ("DELETE", f"/v2/keys{KEY}", ""),
        ("DELETE", f"/v2/keys{KEY}?recursive=true", ""),
        ("DELETE", f"/v2/keys{KEY}?{form(prevValue=VALUE, recursive='true')}", ""),
    ],
)
def test_nothing_else_is(method: str, target: str, body: str) -> None:
    with pytest.raises(Refused, match="not a request of an announcer"):
        said(method, target, body)


def test_a_text_that_is_not_utf_8_is_refused() -> None:
    for target, body in ((f"/v2/keys{KEY}%ff", PUT.encode()), (f"/v2/keys{KEY}", b"ttl=60&value=%ff")):
        with pytest.raises(Refused):
            read("PUT", target, signed(), body, SECRET, FOLDER)


@pytest.mark.parametrize(
    "key",
    [
        "/h1/nap/apps/heat",
        "/h2/services/mpi/heat/slaves/slave1",
        "/h1/services",
        "/h1/servicesx/a",
        "/h1/services/../nap/apps/heat",
        "/h1/services/%2e%2e/nap/apps/heat",
        "/h1/services//a",
        "/h1/services/a/",
        "/h1/services/a%0a",
    ],
)
def test_not_even_a_signature_opens_a_key_that_no_node_announces(key: str) -> None:
    with pytest.raises(Refused, match="not a key that nodes announce"):
        said("PUT", f"/v2/keys{key}", PUT, signed(key))


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic",
        "Basic !",
        "Basic " + b64encode(USER.encode()).decode(),
        "Bearer " + sign(SECRET, KEY, VALUE),
        signed(key=f"{KEY}0"),
        signed(value=VALUE.replace("7", "8")),
        signed(secret="another home's"),
    ],
)
def test_a_signature_is_good_for_its_own_key_and_value_alone(authorization: str) -> None:
    with pytest.raises(Refused, match="not signed by this receiver"):
        said("PUT", f"/v2/keys{KEY}", PUT, authorization)


@pytest.mark.parametrize(
    ("value", "run"),
    [(VALUE, 7), ("", 0), ("{", 0), ("[]", 0), ('{"run":"7"}', 0), ('{"run":true}', 0), ("[" * 99999, 0)],
)
def test_a_value_names_its_run(value: str, run: int) -> None:
    assert run_of(value) == run
