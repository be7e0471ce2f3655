"""Take away the stacks' images that a newer recipe, or a newer build, has taken the place of."""

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
    """Where images are taken away from; of a `shared` registry other homes may still use them."""

    records: StackRecords
    runtime: Runtime
    registry: ImageRegistry
    shared: bool

    def retire(self, replaced: set[str], say: Say) -> None:
        """Those of the references `replaced`, and of records whose recipe is no more, that nothing names."""
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
