"""What no release needs is forgotten by the engine, and removed by the builder that made it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from receiver.builds.trees import MachineBuilder
from receiver.home.paths import Home
from receiver.home.settings import Settings
from receiver.ledger.ledger import Ledger
from receiver.runs import pruning
from registry.images.trees import Image, Images


def tree(builder: MachineBuilder, folder: Path, word: str) -> Image:
    folder.mkdir()
    (folder / "program").write_text(word)
    return cast(Images, builder.images).add(folder)


def test_a_tree_goes_that_no_release_needs(tmp_path: Path) -> None:
    home, settings = Home(tmp_path), cast(Settings, SimpleNamespace(keep=1))
    builder = MachineBuilder(home, settings, Images(home.images))
    needed, gone = tree(builder, tmp_path / "a", "needed"), tree(builder, tmp_path / "b", "gone")
    ledger = Ledger(home.ledger)
    ledger.add_app("hello")
    ledger.release("hello", "c1", needed.digest, "{}")
    forgotten: list[str] = []
    context: Any = SimpleNamespace(
        home=home,
        settings=settings,
        ledger=ledger,
        images=builder.images,
        builder=builder,
        engine=SimpleNamespace(forget=forgotten.append),
    )
    pruning.prune(context, {needed.digest, gone.digest})
    assert builder.images.digests() == [needed.digest]
    assert forgotten == [gone.reference]
