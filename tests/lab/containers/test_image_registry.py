"""Images on their way to a real registry and back, with Podman and with Docker."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.containers.image_builds import once
from support.containers.image_registry import LabRegistry, cut_after, with_password

from receiver.builds import image_registry
from receiver.builds.images import push_pull
from receiver.builds.images.push_pull import Shipping
from receiver.errors import ReceiverError
from receiver.home.paths import Home
from receiver.home.settings import RegistrySettings
from receiver.runs.cancellation import Cancellation
from registry import certificates
from registry.errors import RegistryError
from registry.images import mirror as image_mirror
from registry.images import server as image_server
from registry.images.address import ImageRegistry
from registry.images.client import RegistryClient
from registry.node_proxy.access import NodePull
from units.job import Outcome
from units.oci import runtime as runtimes
from units.oci.runtime import Runtime

pytestmark = pytest.mark.lab
LABEL = "nap.home=/a-test"
NAMES = "{{json .RepoTags}} {{json .RepoDigests}}"
Make = Callable[..., str]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[LabRegistry]:
    one = LabRegistry(tmp_path / "registry", login=("nap", "right"))
    one.start()
    yield one
    one.stop()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def via(lab: LabRegistry, runtime: Runtime, tmp_path: Path, said: list[str]) -> Shipping:
    return shipping_to(lab.registry, runtime, tmp_path, said)


def shipping_to(registry: ImageRegistry, runtime: Runtime, folder: Path, said: list[str]) -> Shipping:
    """As a home has it whose settings name this registry."""
    (folder / "password").write_text(registry.password.value)
    file = str(folder / "password") if registry.user else ""
    settings = RegistrySettings(
        registry.host, registry.user, file, token_file="", ca=registry.ca, insecure=registry.insecure, port=0
    )
    home = Home(folder / "home")
    home.root.mkdir(exist_ok=True)
    assert image_registry.configured(settings) == registry
    image_registry.write_logins(home.logins, registry)
    mine = runtimes.find(runtime.kind, home.logins, image_registry.flags(home.logins, registry))

    def hear(line: str) -> None:
        # How long it takes is the machine's affair.
        if not line.startswith("... "):
            said.append(line)

    return Shipping(mine, registry, hear)


@pytest.fixture
def image(runtime: Runtime, tmp_path: Path) -> Iterator[Make]:
    """Makes images with a file of that many bytes in them; all of them are removed again."""
    made: list[str] = []

    def make(size: int = 10) -> str:
        archive = tmp_path / f"{len(made)}.tar"
        with tarfile.open(archive, "w") as tar:
            entry = tarfile.TarInfo("data")
            entry.size = size
            tar.addfile(entry, io.BytesIO(os.urandom(size)))
        name = f"localhost/nap-test-{os.urandom(4).hex()}:latest"
        runtime.ask("import", "--change", "CMD /data", "--change", f"LABEL {LABEL}", str(archive), name)
        made.append(name)
        return name

    yield make
    for name in made:
        runtime.run("rmi", name)
    assert runtime.run("images", "--quiet", "--filter", f"label={LABEL}").stdout == ""


@pytest.fixture
def forgotten(via: Shipping) -> Iterator[Callable[[str], str]]:
    """Hands a digest on whose image is forgotten after the test."""
    kept: list[str] = []

    def keep(digest: str) -> str:
        kept.append(via.registry.reference("hello_image", digest))
        return kept[-1]

    yield keep
    for reference in kept:
        push_pull.forget(via.runtime, reference)


def test_what_was_pushed_is_in_the_registry_and_runnable_by_its_digest(
    via: Shipping, image: Make, forgotten: Callable[[str], str]
) -> None:
    digest = push_pull.push(via, image(), "hello_image", "v1")
    reference = forgotten(digest)
    assert RegistryClient(via.registry).digest("hello_image", "v1") == digest
    assert via.runtime.has(reference)
    via.runtime.ask("create", "--name", "nap-test-by-digest", reference)
    via.runtime.ask("rm", "nap-test-by-digest")


def test_the_same_image_again_sends_nothing(
    lab: LabRegistry, via: Shipping, image: Make, forgotten: Callable[[str], str]
) -> None:
    name = image(100_000)
    digest = push_pull.push(via, name, "hello_image", "v1")
    forgotten(digest)
    room = lab.stored()
    assert push_pull.push(via, name, "hello_image", "v2") == digest
    assert lab.stored() == room > 100_000
    assert sorted(RegistryClient(via.registry).tags("hello_image")) == ["v1", "v2"]


def test_an_image_that_the_store_lost_is_pulled(
    via: Shipping, image: Make, forgotten: Callable[[str], str], said: list[str]
) -> None:
    name = image()
    reference = forgotten(push_pull.push(via, name, "hello_image", "v1"))
    push_pull.forget(via.runtime, reference)
    via.runtime.ask("rmi", name)
    assert not via.runtime.has(reference)
    push_pull.pull(via, reference)
    assert via.runtime.has(reference)
    assert said == [f"pulling {reference}"]
    push_pull.pull(via, reference)
    assert len(said) == 1


def test_an_image_that_is_not_in_the_registry_is_refused_at_once(via: Shipping, said: list[str]) -> None:
    reference = via.registry.reference("hello_image", f"sha256:{'0a' * 32}")
    with pytest.raises(RegistryError, match="cannot be pulled by"):
        push_pull.pull(via, reference)
    assert len(said) == 1


def test_a_registry_that_is_down_is_waited_for_and_then_said(
    lab: LabRegistry, via: Shipping, image: Make, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push_pull, "WAITS", (0.01, 0.02))
    name = image()
    lab.stop()
    with pytest.raises(RegistryError, match=r"cannot be reached: Connection refused") as refusal:
        push_pull.push(via, name, "hello_image", "v1")
    assert "nap doctor" in refusal.value.hint
    assert [line.rpartition(": ")[2] for line in said] == ["trying again in 0.01 s", "trying again in 0.02 s"]
    via.runtime.ask("image", "inspect", name)
    forget_tag(via)


def forget_tag(via: Shipping) -> None:
    """The name a push that failed has given."""
    via.runtime.run("rmi", via.registry.tagged("hello_image", "v1"))


def test_a_registry_that_comes_back_is_pushed_to(
    lab: LabRegistry, via: Shipping, image: Make, forgotten: Callable[[str], str]
) -> None:
    name = image()
    lab.stop()
    patient = replace(via, say=once("trying again", lab.start))
    digest = push_pull.push(patient, name, "hello_image", "v1")
    forgotten(digest)
    assert RegistryClient(via.registry).has("hello_image", digest)


def test_a_registry_that_is_stopped_in_mid_push_has_no_half_of_an_image(
    lab: LabRegistry,
    runtime: Runtime,
    tmp_path: Path,
    image: Make,
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(push_pull, "WAITS", (0.01,))
    with cut_after(lab.registry, 2_000_000, lab.stop) as passage:
        via = shipping_to(passage, runtime, tmp_path, said)
        with pytest.raises(RegistryError) as refusal:
            push_pull.push(via, image(20_000_000), "hello_image", "v1")
        forget_tag(via)
    assert "\n" not in refusal.value.message
    assert said
    lab.start()
    assert RegistryClient(lab.registry).tags("hello_image") == []


def test_a_wrong_password_is_refused_at_once(
    lab: LabRegistry, runtime: Runtime, tmp_path: Path, image: Make, said: list[str]
) -> None:  # fmt: skip
    via = shipping_to(with_password(lab.registry, "wrong"), runtime, tmp_path, said)
    with pytest.raises(RegistryError, match="refuses the login of 'nap'"):
        push_pull.push(via, image(), "hello_image", "v1")
    assert said == []
    forget_tag(via)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[LabRegistry]:
    one = LabRegistry(tmp_path / "guarded", login=("nap", "right"), tls=True)
    one.start()
    yield one
    one.stop()


def test_with_its_authority_a_registry_is_pushed_to(
    guarded: LabRegistry, runtime: Runtime, tmp_path: Path, image: Make, said: list[str]
) -> None:  # fmt: skip
    via = shipping_to(guarded.registry, runtime, tmp_path, said)
    digest = push_pull.push(via, image(), "hello_image", "v1")
    assert RegistryClient(guarded.registry).has("hello_image", digest)
    push_pull.forget(via.runtime, via.registry.reference("hello_image", digest))


def test_without_it_a_registry_is_refused_at_once(
    guarded: LabRegistry, runtime: Runtime, tmp_path: Path, image: Make, said: list[str]
) -> None:  # fmt: skip
    via = shipping_to(replace(guarded.registry, ca=""), runtime, tmp_path, said)
    with pytest.raises(RegistryError, match="is not trusted") as refusal:
        push_pull.push(via, image(), "hello_image", "v1")
    assert "registry.ca" in refusal.value.hint
    assert said == []
    forget_tag(via)


def test_podman_itself_trusts_no_other_authority(
    guarded: LabRegistry, podman: Runtime, tmp_path: Path, said: list[str]
) -> None:  # fmt: skip
    via = shipping_to(replace(guarded.registry, ca=""), podman, tmp_path, said)
    with pytest.raises(RegistryError, match="certificate"):
        push_pull.pull(via, via.registry.reference("hello_image", f"sha256:{'0a' * 32}"))


def test_who_cancels_does_not_wait_for_the_next_try(
    lab: LabRegistry, via: Shipping, image: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push_pull, "WAITS", (1000,))
    name, cancellation = image(), Cancellation()
    cancellation.cancel(Outcome(130, "", "cancelled"))
    lab.stop()
    with pytest.raises(ReceiverError, match="cancelled"):
        push_pull.push(replace(via, cancelled=cancellation.descriptor), name, "hello_image", "v1")
    forget_tag(via)


def test_what_others_call_an_image_by_is_left(via: Shipping, image: Make) -> None:
    name = image()
    reference = via.registry.reference("hello_image", push_pull.push(via, name, "hello_image", "v1"))
    assert via.registry.host in via.runtime.ask("image", "inspect", "--format", NAMES, name)
    push_pull.forget(via.runtime, reference)
    assert via.registry.host not in via.runtime.ask("image", "inspect", "--format", NAMES, name)


def test_an_image_that_a_container_uses_is_left(
    via: Shipping, image: Make, forgotten: Callable[[str], str]
) -> None:
    name = image()
    reference = forgotten(push_pull.push(via, name, "hello_image", "v1"))
    container = via.runtime.ask("create", reference).strip()
    try:
        via.runtime.run("rmi", name)
        push_pull.forget(via.runtime, reference)
        via.runtime.ask("inspect", container)
    finally:
        via.runtime.ask("rm", container)


def test_only_old_leftovers_with_the_label_are_removed(via: Shipping, image: Make) -> None:
    mine, other = image(), image()
    ids = [via.runtime.ask("image", "inspect", "--format", "{{.Id}}", name).strip() for name in (mine, other)]
    via.runtime.ask("tag", image(), mine)  # What it named is a leftover now.
    push_pull.forget_leftovers(via.runtime, "nap.home=/of-another", "-1s")
    push_pull.forget_leftovers(via.runtime, LABEL)
    assert via.runtime.has(ids[0])
    # Ages are compared in whole seconds.
    push_pull.forget_leftovers(via.runtime, LABEL, "-1s")
    assert [via.runtime.has(each) for each in ids] == [False, True]


def test_no_command_line_and_no_log_shows_the_password(
    lab: LabRegistry, via: Shipping, image: Make, forgotten: Callable[[str], str], said: list[str]
) -> None:
    forgotten(push_pull.push(via, image(), "hello_image", "v1"))
    assert via.runtime.logins
    assert (via.runtime.logins / "config.json").stat().st_mode & 0o077 == 0
    assert "right" not in " ".join((*via.runtime.env.values(), *said, *via.runtime.registry_flags))


def test_what_the_receiver_pushed_is_pulled_by_nodes_under_their_own_name(
    runtime: Runtime, image: Make, tmp_path: Path, said: list[str]
) -> None:
    folder, log, address = tmp_path / "registry", tmp_path / "log", "127.0.0.2"
    files = certificates.ensure(tmp_path / "tls", [address])
    ours = image_server.start(folder, log, said.append)
    try:
        theirs = image_mirror.start(folder, tmp_path / "nodes.log", files, [address], said.append)
        via = shipping_to(ours, runtime, tmp_path, said)
        digest = push_pull.push(via, image(), "hello_image", "v1")
        push_pull.forget(runtime, ours.reference("hello_image", digest))
        node = tmp_path / "node"
        image_registry.write_logins(node, theirs)
        there = runtimes.find(runtime.kind, node, image_registry.flags(node, theirs))
        reference = NodePull.of(theirs).called(ours.reference("hello_image", digest), ours)
        there.ask("pull", "--quiet", *there.registry_flags, reference)
        assert there.has(reference)
        push_pull.forget(there, reference)
    finally:
        image_mirror.stop(folder, tmp_path / "nodes.log")
        image_server.stop(folder, log)
