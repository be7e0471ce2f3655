"""Members, state and images come in and are published by etcd and a registry; who is alive goes out.

May be touched: the keys under `/services` and `/nap` (behind the home's prefix), repositories of the
registry of images, and the folders of the embedded etcd and registry. Importing this package loads no client.
"""

from registry import keys
from registry.errors import RegistryError
from registry.etcd.endpoint import Endpoint, Secret, StoreSettings
from registry.etcd.open import choose_api, open_store
from registry.etcd.store import Listing, Store
from registry.keys import Keys
from registry.services import Member, RunSlaves, gather
from registry.timing import Timing

__all__ = [
    "Endpoint",
    "Keys",
    "Listing",
    "Member",
    "RegistryError",
    "RunSlaves",
    "Secret",
    "Store",
    "StoreSettings",
    "Timing",
    "choose_api",
    "gather",
    "keys",
    "open_store",
]
