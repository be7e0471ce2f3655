"""How a build's container is asked for: what it may use, and what no command line shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from buildpacks.build import Folders
from receiver.builds import mirrors
from receiver.builds.images import build_container
from receiver.builds.images.build_container import Order
from units.oci.runtime import Runtime

PODMAN = Runtime("podman", "/usr/bin/podman", False, 1000)
ORDER = Order(
    name="nap_hello_build_1",
    image="registry.lab/nap_openmpi_build@sha256:1",
    labels={"nap.home": "/home/a/.nap", "nap.build": "b1"},
    folders=Folders(Path("/s/app"), Path("/c"), Path("/s/env")),
    visible=(Path("/packs"),),
    env={"HOME": "/cache"},
    secrets={"PIP_INDEX_URL": "https://user:secret@mirror.lab/simple"},
    network=True,
    pids=64,
    memory=None,
)


def test_a_builds_container_is_asked_for_in_full() -> None:
    assert build_container.command(PODMAN, replace(ORDER, network=False, memory=1024)) == [
        "/usr/bin/podman", "run", "--rm", "--interactive", "--name", "nap_hello_build_1",
        "--label", "nap.home=/home/a/.nap", "--label", "nap.build=b1",
        "--user", build_container._user(PODMAN), "--workdir", "/app", "--entrypoint", "sh",
        "--security-opt", "no-new-privileges", "--security-opt", "label=disable",
        "--pids-limit", "64", "--stop-signal", "SIGKILL", "--log-driver", "none",
        "--memory", "1024b", "--network", "none", "--env", "HOME=/cache", "--env", "PIP_INDEX_URL",
        "--volume", "/s/app:/app", "--volume", "/c:/cache", "--volume", "/s/env:/env",
        "--volume", "/packs:/packs:ro", "registry.lab/nap_openmpi_build@sha256:1",
    ]  # fmt: skip


def test_a_mirrors_password_is_in_no_argument() -> None:
    assert "secret" not in " ".join(build_container.command(PODMAN, ORDER))


@pytest.mark.parametrize(
    ("euid", "runtime", "user"),
    [
        (0, PODMAN, "0:0"),
        (501, replace(PODMAN, rootless=True), "0:0"),
        (501, Runtime("docker", "docker", False, 501), "501:501"),
    ],
)
def test_whoever_owns_the_tree_outside_builds_inside(
    monkeypatch: pytest.MonkeyPatch, euid: int, runtime: Runtime, user: str
) -> None:
    for name in ("geteuid", "getuid", "getgid"):
        monkeypatch.setattr(f"os.{name}", lambda: euid)
    argv = build_container.command(runtime, ORDER)
    assert argv[argv.index("--user") + 1] == user


def test_files_that_mirrors_are_reached_with_come_along(tmp_path: Path) -> None:
    wheels, bundle, pip = tmp_path / "wheels", tmp_path / "ca.pem", tmp_path / "pip.conf"
    wheels.mkdir()
    (wheels / "more").mkdir()
    bundle.touch()
    pip.write_text(f"[global]\nextra-index-url = https://x.lab\n  file://{wheels}/more\n")
    named = {
        "PIP_FIND_LINKS": f"{wheels} {tmp_path}/gone",
        "SSL_CERT_FILE": str(bundle),
        "https_proxy": "http://p",
    }
    assert mirrors.files(named, pip) == (pip, bundle, wheels)
    assert mirrors.files({"PIP_FIND_LINKS": "/"}, tmp_path / "none") == ()
