"""Publish members, state and images through etcd and a registry of images.

In: members, state and images. Out: the live members. Touched: the keys under `/services` and `/nap` (after
the home's prefix), repositories of the registry of images, and the folders of the embedded etcd and registry.
Importing this package loads no client.
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
