"""What is known of images of containers is kept, found again, and forgotten."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from registry.errors import RegistryError
from registry.images.records import ContainerImages
from registry.images.trees import Image, Images

ONE = Image(
    "sha256:1", reference="lab:5000/x@sha256:1", workdir="/srv", flavour="mpich", env=(("A", "b"), ("C", ""))
)


def test_a_record_gives_back_the_image(tmp_path: Path) -> None:
    images = ContainerImages(tmp_path / "records")
    assert images.digests() == []
    images.add(ONE)
    again = ContainerImages(tmp_path / "records")
    assert again.get("sha256:1") == ONE
    assert (again.has("sha256:1"), again.digests()) == (True, ["sha256:1"])
    again.remove("sha256:1")
    again.remove("sha256:1")
    assert not images.has("sha256:1")
    with pytest.raises(RegistryError, match="not there any more"):
        images.get("sha256:1")


@pytest.mark.parametrize(
    "again", [lambda images: images.add(ONE), lambda images: images.renew("sha256:1")], ids=["built", "found"]
)
def test_an_image_that_is_built_or_found_again_is_young_again(
    tmp_path: Path, again: Callable[[ContainerImages], None]
) -> None:
    images = ContainerImages(tmp_path)
    images.add(ONE)
    os.utime(next(tmp_path.iterdir()), (1, 1))
    assert images.is_old("sha256:1")
    again(images)
    assert not images.is_old("sha256:1")


def test_a_tree_that_is_built_again_is_young_again(tmp_path: Path) -> None:
    images, seen = Images(tmp_path / "images"), []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "program").write_text("the same")
        tree = images.add(tmp_path / name).tree
        assert tree
        seen.append((tree, tree.stat().st_ctime_ns))
    assert seen[0][0] == seen[1][0]
    assert seen[0][1] < seen[1][1]


def test_a_record_that_is_damaged_is_none(tmp_path: Path) -> None:
    images = ContainerImages(tmp_path)
    images.add(ONE)
    next(tmp_path.iterdir()).write_text("{")
    assert not images.has("sha256:1")
    with pytest.raises(RegistryError):
        images.get("sha256:1")
