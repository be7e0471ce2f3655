"""What no release needs is forgotten by the engine, and removed by the builder that made it."""

from __future__ import annotations

import json
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


def test_a_tree_goes_that_no_release_needs_and_so_do_records_of_it_and_damaged_ones(tmp_path: Path) -> None:
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
    home.builds.mkdir()
    (home.builds / "folder.json").mkdir()
    records = {"kept": needed.digest, "outdated": gone.digest, "odd": 3}
    for name, image in records.items():
        (home.builds / f"{name}.json").write_text(json.dumps({"image": image}))
    (home.builds / "cut.json").write_text('{"image": "sha')
    pruning.prune(context, {needed.digest, gone.digest})
    assert [path.name for path in home.builds.iterdir()] == ["kept.json"]
    assert builder.images.digests() == [needed.digest]
    assert forgotten == [gone.reference]
