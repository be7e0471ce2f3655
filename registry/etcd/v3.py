"""etcd's v3 API, through etcd3gw and the JSON gateway."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

import requests
from etcd3gw.client import Etcd3Client
from etcd3gw.exceptions import ConnectionFailedError, ConnectionTimeoutError, Etcd3Exception

from registry.errors import RegistryError, root_cause
from registry.etcd.endpoint import Endpoint
from registry.etcd.store import Listing, Store, Watch
from registry.etcd.v3_leases import Leases
from registry.etcd.v3_watch import Watch3

# etcd allows 128 operations in a transaction, and counts the outer ones against a nested transaction as well.
BATCH = 100


class Etcd3Store(Store):
    def __init__(self, endpoint: Endpoint, answer: float) -> None:
        self._endpoint = endpoint
        self._client = Etcd3Client(
            host=endpoint.host,
            port=endpoint.port,
            protocol=endpoint.scheme,
            timeout=answer,
            session=session(endpoint),
        )
        self._leases = Leases(self._grant, self._keep_alive)

    def put_all(self, entries: Mapping[str, str], ttl: int | None) -> None:
        if not entries:
            return
        lease = None if ttl is None else self._leases.new(entries, ttl)
        self._transact(_put(key, value, lease) for key, value in entries.items())

    def refresh_all(self, entries: Mapping[str, str], ttl: int) -> None:
        kept = self._leases.keep(entries)
        rest = [key for key in entries if key not in kept]
        fresh = self._leases.new(rest, ttl) if rest else 0
        self._transact(
            _refresh(key, value, kept.get(key, fresh), rewrite=key not in kept)
            for key, value in entries.items()
        )

    def remove_all(self, entries: Mapping[str, str]) -> None:
        self._leases.forget(entries)
        self._transact(_remove(key, value) for key, value in entries.items())

    def list(self, prefix: str) -> Listing:
        answer = self.ask("/kv/range", folder_range(prefix))
        entries = {
            _decode(item["key"]): _decode(item.get("value", "")) for item in answer.get("kvs", ())
        }
        return Listing(int(answer["header"]["revision"]), entries)

    def watch(self, prefix: str) -> Watch:
        return Watch3(self._open_stream, folder_range(prefix), self._endpoint.url)

    def ping(self) -> None:
        self.ask("/kv/range", {"key": _encode("/"), "count_only": True})

    def _grant(self, ttl: int) -> int:
        return int(self.ask("/lease/grant", {"TTL": ttl})["ID"])

    def _keep_alive(self, lease: int) -> bool:
        """Renew a lease. Return False when it has expired: etcd's answer has no TTL then."""
        answer = self.ask("/lease/keepalive", {"ID": lease})
        return int(answer["result"].get("TTL", 0)) > 0

    def _transact(self, operations: Iterable[dict[str, Any]]) -> None:
        remaining = iter(operations)
        while batch := list(islice(remaining, BATCH)):
            self.ask("/kv/txn", {"success": batch})

    def ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a request that the gateway knows, such as `/kv/put`. Bytes are in base64."""
        with _told(self._endpoint.url):
            self._authenticate_once()
            try:
                return self._client.post(self._client.get_url(path), json=body)
            except Etcd3Exception as error:
                if "invalid auth token" not in (error.detail_text or ""):
                    raise
            self._client.session.headers.pop("Authorization", None)
            self._authenticate_once()
            return self._client.post(self._client.get_url(path), json=body)

    def _authenticate_once(self) -> None:
        """Get a token if there is none. etcd's tokens expire after some minutes without a request."""
        session = self._client.session
        if not self._endpoint.user or "Authorization" in session.headers:
            return
        answer = self._client.post(
            self._client.get_url("/auth/authenticate"),
            json={"name": self._endpoint.user, "password": self._endpoint.password.value},
        )
        session.headers["Authorization"] = answer["token"]

    def _open_stream(self, folder: dict[str, Any]) -> requests.Response:
        with _told(self._endpoint.url):
            self._authenticate_once()
            url = self._client.get_url("/watch")
        return self._client.session.post(
            url, json={"create_request": folder}, stream=True, timeout=(self._client.timeout, None)
        )


def session(endpoint: Endpoint) -> requests.Session:
    session = requests.Session()
    # Otherwise REQUESTS_CA_BUNDLE in the environment would override the endpoint's own CA.
    session.trust_env = False
    # Requests can contain passwords, which are for this etcd alone.
    session.max_redirects = 0
    if endpoint.ca:
        session.verify = endpoint.ca
    if endpoint.cert:
        session.cert = (endpoint.cert, endpoint.key)
    return session


def _encode(text: str) -> str:
    return b64encode(text.encode()).decode()


def _decode(text: str) -> str:
    return b64decode(text).decode(errors="replace")


def folder_range(prefix: str) -> dict[str, Any]:
    """Return the range of all keys that start with `prefix/`: "0" is the character after "/"."""
    return {
        "key": _encode(f"{prefix.rstrip('/')}/"),
        "range_end": _encode(f"{prefix.rstrip('/')}0"),
    }


def _put(key: str, value: str, lease: int | None) -> dict[str, Any]:
    put = {"key": _encode(key), "value": _encode(value)}
    return {"request_put": put if lease is None else {**put, "lease": lease}}


def _has(key: str, value: str) -> dict[str, str]:
    return {"key": _encode(key), "target": "VALUE", "result": "EQUAL", "value": _encode(value)}


def _refresh(key: str, value: str, lease: int, rewrite: bool) -> dict[str, Any]:
    """Return the operation that refreshes one key.

    If it has our value: do nothing, or move it to the new lease. Missing: write it. Another value: leave it.
    """
    put = _put(key, value, lease)
    gone = {"key": _encode(key), "target": "CREATE", "result": "EQUAL", "create_revision": 0}
    create = {"request_txn": {"compare": [gone], "success": [put]}}
    return {
        "request_txn": {
            "compare": [_has(key, value)],
            "success": [put] if rewrite else [],
            "failure": [create],
        }
    }


def _remove(key: str, value: str) -> dict[str, Any]:
    delete = {"request_delete_range": {"key": _encode(key)}}
    return {"request_txn": {"compare": [_has(key, value)], "success": [delete]}}


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Raise the client's errors as RegistryError."""
    try:
        yield
    except (ConnectionFailedError, ConnectionTimeoutError, requests.RequestException) as error:
        raise RegistryError(
            f"etcd at {url} cannot be reached: {root_cause(error)}.", "Run: nap up", retry=True
        ) from error
    except (Etcd3Exception, KeyError, ValueError) as error:
        raise RegistryError(
            f"etcd at {url} said: {_reason(error)}.", "Check nap's etcd settings."
        ) from error


def _reason(error: Exception) -> str:
    """Return etcd's own message if its answer has one, otherwise the error's text."""
    text = getattr(error, "detail_text", None) or str(error)
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text.strip()
