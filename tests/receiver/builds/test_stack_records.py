"""What is known of stacks' images, and what is taken away when newer ones take their place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from buildpacks.stacks.image_stacks import Recipe
from receiver.builds.stacks import retire
from receiver.builds.stacks.records import Built, StackRecords
from receiver.builds.stacks.retire import Retiring
from registry.images.address import ImageRegistry
from units.oci.runtime import Runtime

HOST = "127.0.0.1:25000"


def built(recipe: Recipe, number: int, key: str = "") -> Built:
    return Built(
        key or recipe.key, recipe.name, recipe.packages, recipe.base, f"{HOST}/nap_b@sha256:{number:064x}",
        f"{HOST}/nap_r@sha256:{number + 1:064x}", 400, 90, "", "", f"2026-01-01T00:00:{number:02d}+00:00",
    )  # fmt: skip


def test_what_was_kept_is_found_by_its_recipe_alone(tmp_path: Path) -> None:
    records, recipe = StackRecords(tmp_path / "records"), Recipe("openmpi", ("xxd",))
    assert records.find(recipe) is None
    records.keep(built(recipe, 1))
    assert records.find(recipe) == built(recipe, 1)
    assert records.find(recipe.plain) is None
    assert records.find(recipe) is not None
    assert built(recipe, 1).is_current


def test_records_come_oldest_first_without_those_that_nobody_can_read(tmp_path: Path) -> None:
    records = StackRecords(tmp_path)
    newer, older = built(Recipe("mpich"), 5), built(Recipe("plain"), 2)
    for each in (newer, older):
        records.keep(each)
    (tmp_path / "0000.json").write_text("{")
    (tmp_path / "1111.json").write_text('{"name": "openmpi"}')
    assert records.all() == [older, newer]


@pytest.mark.parametrize("shared", [False, True])
def test_images_of_an_outdated_recipe_are_taken_away_and_current_ones_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    records = StackRecords(tmp_path)
    outdated, current = built(Recipe("openmpi"), 1, key="0" * 16), built(Recipe("openmpi"), 3)
    # The run image was the same before and after.
    outdated = replace(outdated, run=current.run)
    forgotten: list[str] = []
    deleted: list[tuple[str, ...]] = []

    class Client:
        def __init__(self, _registry: ImageRegistry) -> None:
            pass

        def delete(self, *words: str) -> None:
            deleted.append(words)

    monkeypatch.setattr(retire.push_pull, "forget", lambda _runtime, image: forgotten.append(image))
    monkeypatch.setattr("registry.images.client.RegistryClient", Client)
    for each in (outdated, current):
        records.keep(each)
    runtime = Runtime("podman", "podman", rootless=False, uid=1000)
    Retiring(records, runtime, ImageRegistry(HOST), shared).retire(set(), print)
    assert records.all() == [current]
    assert forgotten == [outdated.build]
    assert deleted == ([] if shared else [("nap_b", outdated.build.partition("@")[2])])
