"""Folder packs, in Heroku's form."""

import subprocess

import pytest
from support.trees import THREE_KEYS, plant, refusal

from buildpacks import build
from buildpacks.detect import describe, detect
from buildpacks.errors import BuildpackError
from buildpacks.packs import folder
from buildpacks.plan import Process, from_json, to_json
from buildpacks.stacks import choice, linkage

LUA = {
    "bin/detect": '#!/bin/sh\n[ -f "$1/main.lua" ] && echo Lua\n',
    "bin/compile": """\
#!/bin/bash
set -e
echo "-----> $STACK"
mkdir -p "$1/.profile.d" "$2"
echo once >> "$2/cached"
echo "export GREETING='$(cat "$3/GREETING") from $STACK'" > "$1/.profile.d/lua.sh"
""",
    "bin/release": """\
#!/bin/sh
cat <<EOF
---
addons: []
config_vars:
  LUA_PATH: lib
default_process_types:
  web: lua main.lua
EOF
""",
}
APP = {"main.lua": ""}


def pack(path, files=LUA):
    return plant(path, files)


def test_a_pack_plans_builds_and_releases(tmp_path):
    tree = plant(tmp_path / "tree", APP)
    env = plant(tmp_path / "env", {"GREETING": "hello"})
    buildpack = detect(tree, [pack(tmp_path / "lua")])
    plan = buildpack.plan(tree)
    stack = choice.find(plan.stack, plan.languages, tmp_path / "stacks")
    folders = build.Folders(tree, tmp_path / "cache", env)
    execute = build.in_the_open(tree, build.environment(stack, {"PATH": "/usr/bin:/bin"}), str)
    site = build.BuildSite(folders, execute, linkage.on_this_machine({}))
    plan = build.carry_out(buildpack, plan, stack, tree, site)
    assert plan.processes == (Process("web", "lua main.lua"),)
    assert dict(plan.env) == {"STACK": "heroku-24", "LUA_PATH": "lib"}
    assert (tmp_path / "cache/cached").read_text() == "once\n"
    said = subprocess.run(
        folder.command(Process("web", 'echo "$GREETING"; exit 3'), plan.pack),
        cwd=tree, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (said.stdout, said.returncode) == ("hello from heroku-24\n", 3)


def test_a_pack_is_asked_after_the_built_in_kinds(tmp_path):
    tree = plant(tmp_path / "tree", APP | {"mpi.xml": THREE_KEYS, "hello.c": ""})
    packs = [pack(tmp_path / "lua")]
    assert detect(tree, packs).name == "mpi.xml"
    assert detect(tree, packs, chosen="lua").name == "lua"


def test_a_pack_builds_what_a_profile_runs(tmp_path):
    tree = plant(tmp_path / "tree", APP | {"Procfile": "app: lua main.lua\n"})
    plan = detect(tree, [pack(tmp_path / "lua")]).plan(tree)
    assert describe(plan) == "lua builds (plain), Procfile runs"
    assert from_json(to_json(plan)) == plan


def test_a_manifest_runs_what_a_pack_builds(tmp_path):
    tree = plant(tmp_path / "tree", APP | {"mpi.xml": "build: make\nto: heat\nhosts: 2\n"})
    buildpack = detect(tree, [pack(tmp_path / "lua")], chosen="lua")
    plan = buildpack.release(tree, buildpack.plan(tree))
    assert describe(plan) == "lua builds (openmpi), mpi.xml runs"
    assert (plan.products, plan.processes) == (("heat",), ())


def test_a_chosen_pack_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(BuildpackError, match="name the buildpack `luna`") as error:
        detect(plant(tmp_path / "tree", APP), [pack(tmp_path / "lua")], chosen="luna")
    assert "lua" in refusal(error)


def test_a_changed_pack_is_a_changed_plan(tmp_path):
    tree = plant(tmp_path / "tree", APP)
    before = detect(tree, [pack(tmp_path / "lua")]).plan(tree)
    changed = LUA | {"bin/compile": "#!/bin/sh\n"}
    after = detect(tree, [pack(tmp_path / "lua", changed)]).plan(tree)
    assert before.pack != after.pack


@pytest.mark.parametrize(
    ("release", "message"),
    [
        ("#!/bin/sh\necho 'a: [b'\n", "does not print YAML"),
        ("#!/bin/sh\necho 'default_process_types: [a]'\n", "is not a block of"),
        ("#!/bin/sh\necho no >&2; exit 2\n", "ended with exit code 2"),
        ("#!/bin/sh\n", "does not say how to run the tree"),
        ("#!/nowhere/sh\n", "has no bin/release that runs"),
    ],
)
def test_a_broken_release_is_one_clear_error(tmp_path, release, message):
    tree = plant(tmp_path / "tree", APP)
    buildpack = detect(tree, [pack(tmp_path / "lua", LUA | {"bin/release": release})])
    with pytest.raises(BuildpackError, match=message) as error:
        buildpack.release(tree, buildpack.plan(tree))
    assert refusal(error)


NAMES = ["../../../../repos/x", "", "mpi", "a b;c", "a/b", "-x", "passwd", "discovery_web", "ü", "a\\n"]
VARIABLES = ["../x", "", "NAP_APP", "A B", "A=B", "IFS", "A\\n", "BASH_FUNC_ls%%"]


@pytest.mark.parametrize(
    ("section", "name"),
    [("default_process_types", name) for name in NAMES] + [("config_vars", name) for name in VARIABLES],
)
def test_a_name_that_a_release_makes_up_is_checked(tmp_path, section, name):
    buildpack = released(tmp_path, f"#!/bin/sh\ncat <<'EOF'\n{section}: {{\"{name}\": x}}\nEOF\n")
    with pytest.raises(BuildpackError, match=r"lua/bin/release: .*name") as error:
        buildpack.release(tmp_path / "tree", buildpack.plan(tmp_path / "tree"))
    assert "\n" not in error.value.message


@pytest.mark.parametrize("line", ["", " ", r"\0", r"a\0b", r"\x1b[31m"])
def test_a_command_that_a_release_makes_up_is_checked(tmp_path, line):
    release = f"#!/bin/sh\ncat <<'EOF'\ndefault_process_types: {{web: \"{line}\"}}\nEOF\n"
    buildpack = released(tmp_path, release)
    with pytest.raises(BuildpackError, match="lua/bin/release"):
        buildpack.release(tmp_path / "tree", buildpack.plan(tmp_path / "tree"))


def released(tmp_path, release):
    return detect(plant(tmp_path / "tree", APP), [pack(tmp_path / "lua", LUA | {"bin/release": release})])


def test_a_line_of_a_profile_is_shell_text():
    assert folder.command(Process("web", "a | b"), None) == ("sh", "-c", "a | b")


@pytest.mark.parametrize("verb", ["detect", "compile", "release"])
def test_a_pack_with_windows_line_ends_is_refused_with_the_cure(tmp_path, verb):
    name = f"bin/{verb}"
    pack(tmp_path / "lua", LUA | {name: LUA[name].replace("\n", "\r\n")})
    tree = plant(tmp_path / "tree", APP)
    with pytest.raises(BuildpackError) as error:
        detect(tree, [tmp_path / "lua"]).plan(tree)
    assert f"the buildpack lua's bin/{verb} has Windows line ends (CRLF)" in refusal(error)
    assert f"sed -i 's/\\r$//' {tmp_path}/lua/bin/{verb}" in error.value.hint


@pytest.mark.parametrize(
    ("to", "why"), [("1", "lua's bin/release printed more than 1 MB\n"), ("2", "ended with exit code 3\n")]
)
def test_a_release_that_prints_very_much_is_refused_in_a_few_words(tmp_path, to, why):
    much = {**LUA, "bin/release": f"#!/bin/sh\nhead -c 30000000 /dev/zero >&{to}\nexit 3\n"}
    lua = folder.Pack(pack(tmp_path / "lua", much))
    with pytest.raises(BuildpackError) as error:
        lua.release(plant(tmp_path / "app", APP), alone=True)
    assert why in refusal(error)
    assert len(refusal(error)) < 1000


def test_a_pack_whose_program_does_not_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "_SECONDS", 0.2)
    lua = folder.Pack(pack(tmp_path / "lua", {**LUA, "bin/detect": "#!/bin/sh\nexec sleep 600\n"}))
    with pytest.raises(BuildpackError) as error:
        lua.builds(plant(tmp_path / "app", APP))
    assert "bin/detect took longer than" in refusal(error)
