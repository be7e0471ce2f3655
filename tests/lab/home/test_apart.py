"""Nothing is loaded from where a user stands: not from the folder, by PYTHONPATH, or of others' packages."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.nap_home import ROOT, NapHome

import nap_start
from receiver.installed import PACKAGES

pytestmark = [pytest.mark.lab, pytest.mark.slow]

OTHERS = ("click", "etcd", "fabric", "git", "jinja2", "requests", "starlette", "uvicorn", "yaml")
DECOY = (
    "open({mark!r}, 'a').write(__name__ + chr(10))\nraise RuntimeError('a decoy was imported: ' + __name__)\n"
)


class Decoys:
    """Modules that leave their names in a file when they are imported, and then fail."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._mark = folder / "imported"

    def make(self, *names: str, within: str = "") -> Path:
        place = self.folder / within
        place.mkdir(parents=True, exist_ok=True)
        for name in names:
            (place / f"{name}.py").write_text(DECOY.format(mark=str(self._mark)))
        return place

    def packages(self, place: Path) -> None:
        for name in PACKAGES:
            (place / name).mkdir()
            (place / name / "__init__.py").write_text(DECOY.format(mark=str(self._mark)))

    @property
    def imported(self) -> list[str]:
        return self._mark.read_text().splitlines() if self._mark.exists() else []


@pytest.fixture
def decoys(tmp_path: Path) -> Decoys:
    return Decoys(tmp_path / "decoys")


def loaded_by_python() -> set[str]:
    """The top names of what it loads before any program has its say, and then for a script that pip made."""
    code = "import re, sys; print(*{name.partition('.')[0] for name in sys.modules})"
    return set(subprocess.check_output([sys.executable, "-c", code], text=True).split())


def use(home: NapHome, tree: Path) -> None:
    """All commands that start something, and a push."""
    home.up()
    app = home.app(
        "fine", tree, {"mpi.xml": "build: chmod +x x\nto: x\nhosts: 2\n", "x": "#!/bin/sh\necho fine\n"}
    )
    pushed = app.push("strict")
    assert pushed.code == 0, pushed.out
    home.kill_daemon()
    home.up()
    assert home.nap("run", "fine").code == 0
    assert app.lines("2") == ["fine", "fine"]
    home.down()


def test_nothing_of_the_current_folder_or_of_pythonpath_is_imported(
    own_home: NapHome, decoys: Decoys, tmp_path: Path
) -> None:
    standard = {name for name in sys.stdlib_module_names if name[0] != "_" and find_spec(name)}
    here = decoys.make(*standard, *OTHERS, within="here")
    path = decoys.make(*(standard - loaded_by_python()), *OTHERS, within="path")
    for place in (here, path):
        decoys.packages(place)
    own_home.command, own_home.cwd = (str(Path(sys.executable).with_name("nap")),), here
    own_home.env["PYTHONPATH"] = str(path)
    use(own_home, tmp_path / "tree")
    assert decoys.imported == []


def test_nothing_of_others_is_found_before_what_is_naps(
    own_home: NapHome, decoys: Decoys, tmp_path: Path
) -> None:
    """In an environment into which other packages of these names were installed, and in a user's own site."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    settings = environment / "pyvenv.cfg"
    settings.write_text(settings.read_text().replace("site-packages = false", "site-packages = true"))
    site = next(environment.glob("lib/python3.*/site-packages"))
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    decoys.packages(site)
    users = tmp_path / "user" / site.relative_to(environment)
    users.mkdir(parents=True)
    decoys.packages(users)
    shutil.copy(decoys.make("usercustomize") / "usercustomize.py", users)
    own_home.env |= {"HOME": str(tmp_path), "PYTHONUSERBASE": str(tmp_path / "user")}
    python = str(environment / "bin" / "python")
    own_home.command = (python, *nap_start.BARE[1:], str(ROOT / "nap_start.py"), "receiver.__main__")
    use(own_home, tmp_path / "tree")
    assert decoys.imported == []


def test_pip_takes_nothing_of_the_tree_for_its_own(own_home: NapHome, tmp_path: Path) -> None:
    own_home.up()
    decoys = dict.fromkeys(
        ("queue.py", "random.py", "tempfile.py"), "raise SystemExit('a decoy was imported')\n"
    )
    app = own_home.app("python", tmp_path / "tree", {
        "mpi.xml": "run: python3 -I main.py\nhosts: 1\n", "main.py": "print('fine')\n",
        "requirements.txt": "iniconfig\n", **decoys,
    })  # fmt: skip
    pushed = app.push("strict")
    assert pushed.code == 0, pushed.out
