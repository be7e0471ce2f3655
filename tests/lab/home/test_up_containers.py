"""`nap up --engine containers` for real: its registry comes up, is kept, and goes down with it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.containers.image_registry import LabRegistry
from support.nap_home import NapHome

from registry.images import server as image_server
from registry.images.client import RegistryClient
from units.oci.runtime import Runtime

pytestmark = pytest.mark.lab


def choose(home: NapHome, runtime: Runtime, more: str = "") -> None:
    home.settings(f"containers: {{runtime: {runtime.kind}}}\n{more}")


def test_the_engine_and_its_registry_are_kept(own_home: NapHome, runtime: Runtime) -> None:
    choose(own_home, runtime)
    up = own_home.nap("up", "--engine", "containers")
    assert up.code == 0, up
    status = own_home.json("status")
    registry = image_server.known(own_home.root / "registry")
    assert registry
    assert (status["engine"], status["runtime"], status["registry"]) == (
        "containers", runtime.kind, registry.name,
    )  # fmt: skip
    RegistryClient(registry).ping()

    own_home.down()
    assert image_server.pid(own_home.root / "registry") is None

    again = own_home.nap("up")
    assert again.code == 0, again
    assert own_home.json("status")["registry"] == registry.name
    assert registry.password.value not in up.out + again.out + status_of(own_home)


def status_of(home: NapHome) -> str:
    return home.nap("status").out


def test_a_registry_that_died_comes_back_with_the_next_up(own_home: NapHome, runtime: Runtime) -> None:
    choose(own_home, runtime)
    assert own_home.nap("up", "--engine", "containers").code == 0
    daemon = own_home.daemon()
    pid = image_server.pid(own_home.root / "registry")
    assert pid
    watch = os.pidfd_open(pid)
    os.kill(pid, 9)
    import select

    assert select.select([watch], [], [], 10)[0]
    os.close(watch)
    up = own_home.nap("up")
    assert (up.code, up.out.count("a registry of images is up")) == (0, 1), up
    assert own_home.daemon() == daemon


def test_going_back_to_local_restarts_the_receiver(own_home: NapHome, runtime: Runtime) -> None:
    choose(own_home, runtime)
    assert own_home.nap("up", "--engine", "containers").code == 0
    assert own_home.nap("up", "--engine", "local").code == 0
    assert own_home.json("status")["engine"] == "local"
    assert "runtime" not in own_home.json("status")


def test_a_registry_that_settings_name_is_not_started(
    own_home: NapHome, runtime: Runtime, tmp_path: Path
) -> None:  # fmt: skip
    lab = LabRegistry(tmp_path / "lab")
    named = f"registry: {{url: '127.0.0.1:{lab.port}/team', insecure: true}}\n"
    choose(own_home, runtime, named)
    refused = own_home.nap("up", "--engine", "containers")
    assert refused.code == 1
    assert f"127.0.0.1:{lab.port} cannot be reached: Connection refused" in refused.err
    assert not (own_home.root / "engine").exists()
    lab.start()
    try:
        assert own_home.nap("up", "--engine", "containers").code == 0
        assert own_home.json("status")["registry"] == f"127.0.0.1:{lab.port}/team"
        assert not (own_home.root / "registry").exists()
    finally:
        own_home.down()
        lab.stop()
