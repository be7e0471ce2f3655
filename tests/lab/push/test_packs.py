"""The programs of folder packs in their capsules, with real processes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.nap_home import App, NapHome
from support.polling import until
from support.trees import plant

from buildpacks.detect import detect
from buildpacks.errors import BuildpackError
from buildpacks.plan import Process
from receiver.builds.packs import enclosing
from receiver.home.paths import Home
from units.capsule import kinds

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(bool(kinds.refusal()), reason="this machine allows no user namespaces"),
]

# Each leaves a process behind, which has the folder of its tree in its environment.
LOOKS = """\
#!/bin/sh
setsid sleep 1000 & setsid sh -c 'exec >/dev/null 2>&1; sleep 1000' &
[ -f "$1/main.lua" ] && [ "$PWD" = "$1" ] || exit 1
touch "$1/new" 2>/dev/null && exit 2
touch "$(dirname "$0")/new" 2>/dev/null && exit 3
[ ! -e "{home}/repos" ]
"""
RELEASES = """\
#!/bin/sh
setsid sleep 1000 &
echo "default_process_types: {app: ./x}"; echo "config_vars: {SEEN: \\"$(ls -A "{home}" | tr '\\n' ' ')\\"}"
"""


@pytest.fixture
def packed(tmp_path: Path) -> Home:
    plant(tmp_path / "home/repos", {"secret": "s"})
    return Home(tmp_path / "home")


def packs(packed: Home, looks: str = LOOKS, releases: str = RELEASES) -> list[Path]:
    files = {"bin/detect": looks, "bin/compile": "#!/bin/sh\n", "bin/release": releases}
    told = {name: text.replace("{home}", str(packed.root)) for name, text in files.items()}
    return [plant(packed.buildpacks / "lua", told)]


def of_tree(tree: Path) -> list[str]:
    """Processes that have it in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if os.fsencode(tree) in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def test_what_a_pack_runs_sees_the_tree_and_itself_and_is_ended(packed: Home) -> None:
    tree = plant(packed.scratch / "x/app", {"main.lua": ""})
    pack = detect(tree, packs(packed), enclose=enclosing(packed))
    plan = pack.release(tree, pack.plan(tree))
    assert plan.processes == (Process("app", "./x"),)
    assert dict(plan.env)["SEEN"].split() == ["buildpacks", "scratch"]
    until(lambda: of_tree(tree), [])


@pytest.mark.parametrize("broken", ["#!/nowhere/sh\n", ""])
def test_a_program_that_cannot_be_run_is_not_taken_for_a_no(packed: Home, broken: str) -> None:
    tree = plant(packed.scratch / "x/app", {"main.lua": ""})
    found = packs(packed, broken)
    if not broken:
        (found[0] / "bin/detect").chmod(0o644)
    with pytest.raises(BuildpackError, match="has no bin/detect that runs"):
        detect(tree, found, enclose=enclosing(packed))


@pytest.fixture
def pack_home(own_home: NapHome) -> NapHome:
    release = "#!/bin/sh\necho 'default_process_types: {../../../../repos/x: ./x}'\n"
    plant(
        own_home.root / "buildpacks/lua",
        {"bin/detect": "#!/bin/sh\n", "bin/compile": "#!/bin/sh\n", "bin/release": release},
    )
    own_home.up()
    return own_home


def test_a_push_whose_pack_makes_up_a_bad_name_is_refused(pack_home: NapHome, tmp_path: Path) -> None:
    app = pack_home.app("named", tmp_path / "tree", {"main.lua": ""})
    pushed = app.push()
    assert pushed.code == 1
    assert "'../../../../repos/x' is no process name" in pushed.out
    assert [path.name for path in (pack_home.root / "repos").iterdir()] == ["named.git"]


ESCAPES = {"profile": "app: ./x\nno\x1b]0;owned\x07colon\x9b31m\u202e\n"}


def test_what_a_refusal_quotes_is_not_obeyed_by_a_terminal(new_app: Callable[..., App]) -> None:
    app = new_app(ESCAPES)
    pushed = app.push()
    assert pushed.code == 1
    assert not set(pushed.out) & set("\x1b\x07\x9b\u202e")
    assert "\\x1b" in pushed.out


def test_what_a_build_says_is_not_obeyed_and_what_a_program_says_is_its_own(
    new_app: Callable[..., App],
) -> None:
    say = "printf 'a\\033[31mb\\rc\\n'"
    app = new_app({"mpi.xml": "build: sh say.sh\nrun: sh say.sh\nhosts: 1\n", "say.sh": say + "\n"})
    pushed = app.push()
    told, _, written = pushed.out.partition("-----> hostfile")
    assert "\n       c\n" in told
    assert "a\x1b[31mb" in written
    output = app.home.root / "runs" / app.name / "1/output"
    assert output.read_bytes() == b"a\x1b[31mb\rc\n"
