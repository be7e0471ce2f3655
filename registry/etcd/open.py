"""Open the store of an endpoint, and choose its API."""

from __future__ import annotations

from dataclasses import replace

from registry.errors import RegistryError
from registry.etcd.endpoint import Endpoint
from registry.etcd.store import ANSWER, Store


def open_store(endpoint: Endpoint, answer: float = ANSWER) -> Store:
    """Return the store of this endpoint; etcd need not be up. `answer` is a request's timeout in seconds."""
    if endpoint.api == "v2":
        from registry.etcd.v2 import Etcd2Store

        return Etcd2Store(endpoint, answer)
    from registry.etcd.v3 import Etcd3Store

    return Etcd3Store(endpoint, answer)


def choose_api(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint with the API to use: v2 if etcd serves it, otherwise v3.

    The APIs' data are separate, so the caller keeps the result. RegistryError when etcd does not answer.
    """
    second = replace(endpoint, api="v2")
    try:
        open_store(second).ping()
    except RegistryError as error:
        if error.retry:
            raise
    else:
        return second
    third = replace(endpoint, api="v3")
    open_store(third).ping()
    return third
