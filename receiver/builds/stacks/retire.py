"""Removes stack images that a newer recipe or a newer build has replaced."""

from __future__ import annotations

from dataclasses import dataclass

from receiver.builds.images import push_pull
from receiver.builds.stacks.records import StackRecords
from receiver.text.output import Say
from registry.errors import RegistryError
from registry.images.address import ImageRegistry
from units.oci.runtime import Runtime


@dataclass(frozen=True)
class Retiring:
    """Removes images. They stay in a `shared` registry, where other homes can still use them."""

    records: StackRecords
    runtime: Runtime
    registry: ImageRegistry
    shared: bool

    def retire(self, replaced: set[str], say: Say) -> None:
        """Drop outdated records; remove their images, and those in `replaced`, unless a record names them.

        A record is outdated when its recipe has changed.
        """
        outdated = [built for built in self.records.all() if not built.is_current]
        for built in outdated:
            self.records.drop(built)
        gone = replaced.union(*(built.references for built in outdated))
        named = set().union(*(built.references for built in self.records.all()))
        for reference in sorted(gone - named):
            self._remove(reference, say)

    def _remove(self, reference: str, say: Say) -> None:
        from registry.images.client import RegistryClient

        push_pull.forget(self.runtime, reference)
        if self.shared or not self.registry.names(reference):
            return
        try:
            RegistryClient(self.registry).delete(*self.registry.split(reference))
        except RegistryError as error:
            say(f"       {reference} stays in the registry: {error.message}")
