"""The network of an app's runs, where one run comes as another one goes."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, cast

import pytest

from units.containers import network
from units.containers.container_life import Life, RunContext
from units.containers.engine import ContainersEngine
from units.job import Job
from units.launching import Machine
from units.oci.runtime import Runtime, find
from units.supervisor.backend import Changes, Streams
from units.supervisor.unit import Unit

SPEC = {"network": "nap-lab", "home": "/h"}
MISSED = "Error: unable to find network with name or ID nap-lab: network not found"


class Answers:
    """A runtime that fails with these words, one after the other by verb, and does all else."""

    kind = "podman"
    isolates = True

    def __init__(self, **said: list[str]) -> None:
        self.said = said
        self.asked: list[tuple[str, ...]] = []

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        self.asked.append(words)
        left = self.said.get(words[0])
        error = left.pop(0) if left else ""
        return subprocess.CompletedProcess(words, 125 if error else 0, "", error)


def made(folder: Path, runtime: Answers) -> int:
    context = RunContext(
        cast(Runtime, runtime), folder, cast(Any, SPEC), Streams(output=1, log=1), Changes()
    )  # fmt: skip
    return Life(Unit("slave", "s", "s", "lab_slave1", ["run", "x"], {}), context).make().returncode


def test_a_network_that_another_run_has_just_taken_away_is_made_again(tmp_path: Path) -> None:
    runtime = Answers(run=[MISSED])
    assert made(tmp_path, runtime) == 0
    assert [words[0] for words in runtime.asked] == ["run", "network", "rm", "run"]


@pytest.mark.parametrize("said", ["the container name lab_slave1 is already in use", "image not known"])
def test_what_else_goes_wrong_is_not_tried_again(tmp_path: Path, said: str) -> None:
    runtime = Answers(run=[said])
    assert made(tmp_path, runtime) == 125
    assert runtime.asked == [("run", "x")]


def test_on_the_machines_own_network_none_is_made() -> None:
    runtime = Answers()
    network.have(cast(Runtime, runtime), {"network": "", "home": "/h"})
    assert runtime.asked == []


@pytest.mark.parametrize(("isolates", "options"), [(True, ["isolate=true"]), (False, [])])
def test_podmans_networks_are_kept_apart_where_it_can(isolates: bool, options: list[str]) -> None:
    runtime = Answers()
    runtime.isolates = isolates
    network.have(cast(Runtime, runtime), SPEC)
    assert [word for word in runtime.asked[0] if "isolate" in word] == options


@pytest.mark.parametrize(
    ("backend", "isolates"), [("echo netavark", True), ("echo cni", False), ("exit 125", False)]
)
def test_a_podman_tells_whether_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str, isolates: bool
) -> None:
    client = tmp_path / "podman"
    client.write_text(f"#!/bin/sh\ncase $* in *NetworkBackend*) {backend} ;; *) echo runc ;; esac\n")
    client.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = find("podman")
    assert found.isolates is isolates
    engine = ContainersEngine(tmp_path, Machine(2, False, ()), found)
    job = Job(app="a", run=1, release=1, prefix="", image="", tree=None, stack="openmpi")
    assert ("apps reach each other's containers" in engine.note(job)) is not isolates
