"""What others write stays the text that it is: no template, tag of YAML or name in a tree does anything."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from support.jobs.engines import ENGINES, JOBS
from support.jobs.nodes import JOB as ON_NODES_JOB
from support.jobs.nodes import JOBS as ON_NODES
from support.jobs.nodes import WORKER
from support.jobs.nodes import units as units_of_nodes
from support.plans import PLANS, STACK

from buildpacks import image_text
from buildpacks.errors import BuildpackError
from buildpacks.mpi_xml.manifest import parse
from receiver import repository as git
from receiver.errors import ReceiverError
from receiver.home.settings import load
from units.job import Mpi

# What a template engine would make "49" of, or fail over.
ODD = ("{{ 7 * 7 }}", "{% if %}", "{# gone #}", "{{ self.__init__.__globals__ }}")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_programs_arguments_are_no_template_of_an_engine(engine: str) -> None:
    job = replace(JOBS["mpi"], mpi=Mpi("openmpi5", 3, ("./hello", *ODD)))
    texts = [unit.content for unit in ENGINES[engine].units(job)]
    assert any(all(json.dumps(word)[1:-1] in text for word in ODD) for text in texts)


def test_a_programs_arguments_are_no_template_of_units_of_nodes() -> None:
    mpi = replace(ON_NODES["one"], mpi=Mpi("openmpi5", 2, ("./hello", *ODD)))
    process = replace(ON_NODES_JOB, stack="plain", processes=(replace(WORKER, argv=("./work", *ODD)),))
    for job in (mpi, process):
        texts = [unit.content.replace("%%", "%") for unit in units_of_nodes(job)]
        assert any(all(word in text for word in ODD) for text in texts)


def test_a_packs_variables_are_no_template_of_a_dockerfile() -> None:
    plan = replace(PLANS["pack"], env=tuple((f"ODD{index}", word) for index, word in enumerate(ODD)))
    text = image_text.dockerfile(plan, STACK, 1000, settled=False)
    assert all(word in text for word in ODD)


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system [touch made]", "!!python/name:os.system"])
def test_no_tag_of_yaml_makes_anything(tag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BuildpackError):
        parse(f"to: {tag}\n".encode())
    (tmp_path / "settings.yaml").write_text(f"share: {tag}\n")
    with pytest.raises(ReceiverError, match="cannot be read"):
        load(tmp_path / "settings.yaml")
    assert not (tmp_path / "made").exists()


def write(repository: Path, kind: str, data: bytes) -> str:
    """An object of git, also one that git itself would not make; its id."""
    command = ["git", "hash-object", "-t", kind, "-w", "--stdin", "--literally"]
    done = subprocess.run(command, cwd=repository, input=data, capture_output=True, check=True, timeout=30)
    return done.stdout.decode().strip()


def tree(repository: Path, *entries: tuple[str, str, str]) -> str:
    """Of modes, names and ids."""
    lines = [f"{mode} {name}\0".encode() + bytes.fromhex(id) for mode, name, id in entries]
    return write(repository, "tree", b"".join(lines))


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", ".git/config", ".GIT/config", "git~1/config"])
def test_a_tree_whose_names_lead_out_of_it_is_not_checked_out(name: str, tmp_path: Path) -> None:
    repository, folder = tmp_path / "repos" / "x.git", tmp_path / "out" / "tree"
    repository.parent.mkdir()
    folder.mkdir(parents=True)
    git.create(repository)
    blob = write(repository, "blob", b"[core]\n\tfsmonitor = touch made\n")
    with git.opened(repository) as repo, pytest.raises(ReceiverError, match="cannot be checked out"):
        git.check_out(repo, tree(repository, ("100644", name, blob)), folder)
    assert [path for path in tmp_path.rglob("*") if path.name in ("x", "made")] == []


def test_what_a_tree_says_of_filters_links_and_submodules_runs_nothing(tmp_path: Path) -> None:
    repository, folder = tmp_path / "repos" / "x.git", tmp_path / "out" / "tree"
    repository.parent.mkdir()
    folder.mkdir(parents=True)
    git.create(repository)
    outside = write(repository, "blob", str(tmp_path / "outside").encode())
    attributes = write(repository, "blob", b"* filter=x diff=x merge=x ident\n")
    modules = write(repository, "blob", b'[submodule "a"]\n path = -x\n url = ext::touch made\n')
    entries = [
        ("100644", ".gitattributes", attributes),
        ("100644", ".gitmodules", modules),
        ("120000", "a", outside),
        ("40000", "a", tree(repository, ("100644", "b", outside))),
        ("160000", "sub", "1" * 40),
    ]
    with git.opened(repository) as repo:
        git.check_out(repo, tree(repository, *entries), folder)
    assert not (tmp_path / "outside").exists()
    assert not list(tmp_path.rglob("made"))
