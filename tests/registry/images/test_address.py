"""What a registry of images is called in the settings, and images in it."""

from __future__ import annotations

import pytest

from registry import RegistryError
from registry.etcd.endpoint import Secret
from registry.images.address import ImageRegistry, parse

DIGEST = f"sha256:{'0a' * 32}"


@pytest.mark.parametrize(
    ("text", "host", "path"),
    [
        ("127.0.0.1:5000", "127.0.0.1:5000", ""),
        ("localhost/team", "localhost", "team"),
        ("registry.lab.example", "registry.lab.example", ""),
        ("ghcr.io/owner", "ghcr.io", "owner"),
        ("registry.gitlab.com/group/sub-group/project", "registry.gitlab.com", "group/sub-group/project"),
        ("[::1]:5000", "[::1]:5000", ""),
        ("docker.io/user", "docker.io", "user"),
    ],
)
def test_host_port_and_path_are_taken(text: str, host: str, path: str) -> None:
    assert parse(text) == (host, path)
    assert ImageRegistry(host, path).name == text


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("https://ghcr.io/owner", "without https://"),
        ("ghcr.io/Owner", "small letters"),
        ("ghcr.io/owner/", "HOST/PATH"),
        ("ghcr.io owner", "HOST/PATH"),
        ("user:secret@ghcr.io", "HOST/PATH"),
        ("ghcr.io/owner:tag", "HOST/PATH"),
        ("-v", "HOST/PATH"),
        ("/owner", "HOST/PATH"),
        ("lab.example:70000", "1 to 65535"),
        ("lab", "write lab:443"),
        ("docker.io", "docker.io/USER"),
    ],
)
def test_what_podman_and_docker_would_take_for_something_else_is_refused(text: str, hint: str) -> None:
    with pytest.raises(RegistryError) as refusal:
        parse(text)
    assert refusal.value.message.startswith(f"registry.url is {text!r}")
    assert hint in refusal.value.hint


@pytest.mark.parametrize("path", ["", "team/mpi"])
def test_references_are_taken_apart_again(path: str) -> None:
    registry = ImageRegistry("lab.example:5000", path)
    by_digest = registry.reference("hello_image", DIGEST)
    assert by_digest == f"{registry.name}/hello_image@{DIGEST}"
    assert registry.split(by_digest) == ("hello_image", DIGEST)
    assert registry.split(registry.tagged("hello_image", "v7")) == ("hello_image", "v7")
    assert registry.names(by_digest)


def test_a_reference_needs_a_whole_digest() -> None:
    with pytest.raises(RegistryError, match="not an image's digest"):
        ImageRegistry("lab.example").reference("hello_image", "v7")


@pytest.mark.parametrize(
    ("host", "here"),
    [("127.0.0.1:5000", True), ("localhost:5000", True), ("[::1]:5000", True), ("10.0.0.1:5000", False),
     ("lab.example", False), ("127.0.0.1.lab.example", False)],
)  # fmt: skip
def test_the_loopback_interface_is_known(host: str, here: bool) -> None:
    assert ImageRegistry(host).is_here is here


def test_docker_hub_answers_elsewhere_than_its_name_says() -> None:
    assert ImageRegistry("docker.io", "user").api_host == "registry-1.docker.io"
    assert ImageRegistry("ghcr.io", "user").api_host == "ghcr.io"


def test_a_password_is_not_shown() -> None:
    assert "hidden" not in repr(ImageRegistry("lab.example", user="nap", password=Secret("hidden")))
