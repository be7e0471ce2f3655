"""The gathering of a run's slaves, where nobody comes."""

from __future__ import annotations

from typing import cast

import pytest

from receiver.home.settings import Settings
from registry.errors import RegistryError
from registry.etcd.store import Listing, Store, Watch
from registry.keys import Keys
from registry.services import RunSlaves, gather


class Empty(Watch):
    """An etcd without a key in it."""

    def list(self, _: str) -> Listing:
        return Listing(1, {})

    def watch(self, _: str) -> Watch:
        return self

    def wait(self, index: int, timeout: float) -> None: ...

    def close(self) -> None: ...


def test_who_waited_in_vain_is_told_the_setting_that_gives_more_time() -> None:
    with pytest.raises(RegistryError) as told:
        gather(cast(Store, Empty()), RunSlaves(Keys(), "hello", 1, 2), 0)
    assert told.value.message == "2 of 2 slaves of hello did not register in time: slave1, slave2."
    named = told.value.hint.split("`")[1]
    assert named in Settings.__dataclass_fields__
    assert told.value.hint.endswith("the receiver's settings.yaml.")
