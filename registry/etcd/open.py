"""The store of an endpoint: which API it is spoken to through, and who speaks it."""

from __future__ import annotations

from dataclasses import replace

from registry.errors import RegistryError
from registry.etcd.endpoint import Endpoint
from registry.etcd.store import ANSWER, Store


def open_store(endpoint: Endpoint, answer: float = ANSWER) -> Store:
    """The store of this endpoint; etcd need not be there yet. `answer`: seconds a request takes."""
    if endpoint.api == "v2":
        from registry.etcd.v2 import Etcd2Store

        return Etcd2Store(endpoint, answer)
    from registry.etcd.v3 import Etcd3Store

    return Etcd3Store(endpoint, answer)


def choose_api(endpoint: Endpoint) -> Endpoint:
    """The same endpoint with the API to use: v2 where etcd serves it, else v3.

    Their stores are separate, so this is asked once, and the answer kept.
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
