"""nap from an archive: all of its files are there, and it works where no checkout is in reach."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest
from support.containers.home import SharedStacks, new_home
from support.containers.home import forget as forget_images
from support.installed import Built, Installed, installed, tracked
from support.nap_home import EXAMPLES, ROOT, NapHome

from receiver.installed import PACKAGES
from units.oci.runtime import Runtime

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(600)]


def of_the_checkout() -> set[str]:
    """Every file of the packages, and the examples where an installation has them."""
    packaged = {name for name in tracked(*PACKAGES) if not (ROOT / name).is_symlink()}
    return packaged | {f"receiver/{name}" for name in tracked("examples")} | {"nap_start.py"}


def test_a_wheel_has_every_file(built: Built) -> None:
    listed = set(zipfile.ZipFile(built.wheel).namelist())
    assert {name for name in listed if ".dist-info/" not in name} == of_the_checkout()


def test_a_source_archive_has_every_file(built: Built) -> None:
    with tarfile.open(built.source) as archive:
        listed = {member.name.partition("/")[2] for member in archive if member.isfile()}
    tops = {*PACKAGES, "nap_start.py"}
    assert {name for name in listed if name.split("/")[0] in tops} == of_the_checkout()


def demonstrate(nap: Installed, home: NapHome, folder: Path) -> None:
    """Called by a link, as pipx makes one, from a folder that has nothing to do with it."""
    link, here = folder / "nap", folder / "here"
    link.symlink_to(nap.nap)
    here.mkdir()
    nap.serve(home, here)
    home.command = (str(link),)
    try:
        shown = home.nap("demo")
        assert shown.code == 0, shown
        assert "run 1 of hello: succeeded, exit 0" in shown.err
        command = Path(f"/proc/{home.daemon()}/cmdline").read_text()
        assert str(nap.folder) in command
        assert str(ROOT) not in command
    finally:
        home.down()
        home.command = NapHome.command


def test_a_wheel_shows_its_demo(from_wheel: Installed, own_home: NapHome, tmp_path: Path) -> None:
    demonstrate(from_wheel, own_home, tmp_path)


def test_a_source_archive_shows_its_demo(built: Built, own_home: NapHome, tmp_path: Path) -> None:
    with installed(built.source) as nap:
        demonstrate(nap, own_home, tmp_path)


def test_a_wheel_pushes_to_podman(
    from_wheel: Installed, image_stacks: SharedStacks, podman: Runtime, tmp_path: Path
) -> None:
    home = from_wheel.serve(new_home(tmp_path / "home", image_stacks, podman), tmp_path)
    try:
        home.up()
        pushed = home.example("hello", tmp_path / "tree").push()
        assert "run 1 of hello: succeeded, exit 0" in pushed.out, pushed
        service = {name: (EXAMPLES / "profile-web" / name).read_bytes() for name in ("profile", "server.py")}
        assert "web is up" in home.app("web", tmp_path / "web", service).push().out
    finally:
        home.down()
        forget_images(home, podman)
