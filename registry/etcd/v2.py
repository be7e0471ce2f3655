"""etcd's v2 API, through python-etcd."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import etcd
from urllib3.exceptions import ReadTimeoutError
from urllib3.util import Retry

from registry.errors import RegistryError, root_cause
from registry.etcd.endpoint import Endpoint
from registry.etcd.store import Listing, Store, Watch

# v2 writes one key a request. A few parallel requests share etcd's syncs to disk; more than these wait for
# each other. For fewer than WORTH_IT keys, opening the connections takes longer than writing one by one.
WRITERS, WORTH_IT = 4, 12

_AWAY = (etcd.EtcdConnectionFailed, etcd.EtcdClusterIdChanged, etcd.EtcdLeaderElectionInProgress)


class Etcd2Store(Store):
    def __init__(self, endpoint: Endpoint, answer: float) -> None:
        self._url = endpoint.url
        self._client = etcd.Client(
            host=endpoint.host,
            port=endpoint.port,
            protocol=endpoint.scheme,
            ca_cert=endpoint.ca or None,
            cert=(endpoint.cert, endpoint.key) if endpoint.cert else None,
            username=endpoint.user or None,
            password=endpoint.password.value or None,
            read_timeout=answer,
            # Requests can contain passwords, which are for this etcd alone.
            allow_redirect=False,
        )
        # Without this, a request that etcd does not answer is sent four times, for `answer` seconds each.
        self._client.http.connection_pool_kw["retries"] = Retry(0)

    def put_all(self, entries: Mapping[str, str], ttl: int | None) -> None:
        self._each(lambda key: self._client.write(key, entries[key], ttl=ttl), entries)

    def refresh_all(self, entries: Mapping[str, str], ttl: int) -> None:
        self._each(lambda key: self._refresh(key, entries[key], ttl), entries)

    def _refresh(self, key: str, value: str, ttl: int) -> None:
        try:
            self._client.refresh(key, ttl, prevValue=value)
        except etcd.EtcdCompareFailed:
            return
        except etcd.EtcdKeyNotFound:
            self._create(key, value, ttl)

    def _create(self, key: str, value: str, ttl: int) -> None:
        try:
            self._client.write(key, value, ttl=ttl, prevExist=False)
        except etcd.EtcdAlreadyExist:
            return

    def remove_all(self, entries: Mapping[str, str]) -> None:
        self._each(lambda key: self._remove(key, entries[key]), entries)

    def _remove(self, key: str, value: str) -> None:
        try:
            self._client.delete(key, prevValue=value)
        except (etcd.EtcdKeyNotFound, etcd.EtcdCompareFailed):
            return

    def _each(self, write: Callable[[str], object], keys: Mapping[str, str]) -> None:
        with _told(self._url):
            if len(keys) < WORTH_IT:
                for key in keys:
                    write(key)
                return
            with ThreadPoolExecutor(WRITERS) as writers:
                for _ in writers.map(write, keys):
                    pass

    def list(self, prefix: str) -> Listing:
        with _told(self._url):
            try:
                result = self._client.read(prefix, recursive=True)
            except etcd.EtcdKeyNotFound as absent:
                return Listing(int((absent.payload or {}).get("index", 0)), {})
            entries = {leaf.key: leaf.value for leaf in result.leaves if not leaf.dir}
            return Listing(result.etcd_index, entries)

    def watch(self, prefix: str) -> Watch:
        return Watch2(self._client, self._url, prefix)

    def ping(self) -> None:
        with _told(self._url):
            try:
                self._client.read("/")
            except etcd.EtcdKeyNotFound as absent:
                raise RegistryError(f"etcd at {self._url} does not serve the v2 API.") from absent


class Watch2(Watch):
    """Watches by long poll: one request a wait, on a connection that is kept while there are events."""

    def __init__(self, client: etcd.Client, url: str, prefix: str) -> None:
        self._client = client
        self._url = url
        self._prefix = prefix

    def wait(self, index: int, timeout: float) -> None:
        if timeout <= 0:
            return
        with _told(self._url):
            try:
                self._client.watch(self._prefix, index + 1, timeout=timeout, recursive=True)
            except (etcd.EtcdWatchTimedOut, etcd.EtcdEventIndexCleared, etcd.EtcdWatcherCleared):
                return
            except etcd.EtcdConnectionFailed as error:
                # The client raises EtcdWatchTimedOut only when an answer had begun. Before that, a timeout
                # is a failed connection.
                if not isinstance(getattr(error.cause, "reason", None), ReadTimeoutError):
                    raise

    def close(self) -> None:
        """Do nothing: no connection is open between two waits."""


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Raise the client's errors as RegistryError."""
    try:
        yield
    except _AWAY as error:
        raise RegistryError(
            f"etcd at {url} cannot be reached: {root_cause(error)}.", "Run: nap up", retry=True
        ) from error
    except etcd.EtcdInsufficientPermissions as error:
        raise RegistryError(
            f"etcd at {url} refused the user and password.", "Check nap's etcd settings."
        ) from error
    except etcd.EtcdException as error:
        raise RegistryError(f"etcd at {url} said: {error}.") from error
    except RecursionError as error:
        # Anyone who can write below a folder can nest it to any depth.
        raise RegistryError(f"etcd at {url} has folders too deep to be read.") from error
