"""Checks what the engine `containers` needs: a runtime, an image registry, and a base for stacks."""

from __future__ import annotations

from receiver.errors import ReceiverError
from receiver.findings import ExaminedMachine, Finding, settings_of, version_in

_ENGINE = "the engine containers"
# The repository to which the check of the registry writes a few bytes.
_CHECKED = "nap_check"


def check_podman(machine: ExaminedMachine) -> Finding:
    path = machine.which("podman")
    if path is None:
        return _without_runtime(machine, "podman", "podman")
    told = machine.output([path, "info", "--format", "{{.Host.Security.Rootless}}"])
    found = f"{version_in(machine.output([path, '--version']) or '')} ({path})"
    if told is None:
        return Finding("podman", _lacking(machine), f"{found} does not answer", "try it by hand: podman info")
    return Finding("podman", True, f"{found}, rootless" if told.strip() == "true" else found)


def check_docker(machine: ExaminedMachine) -> Finding:
    path = machine.which("docker")
    if path is None:
        return _without_runtime(machine, "docker", "docker.io")
    told = machine.output([path, "version", "--format", "{{.Server.Version}}"])
    if told is None:
        hint = "its daemon does not answer: systemctl start docker (and be in the group docker)"
        return Finding("docker", _lacking(machine), path, hint)
    return Finding("docker", True, f"{version_in(told)} ({path})")


def check_registry_server(machine: ExaminedMachine) -> Finding:
    name = "docker-registry"
    for program in (name, "registry"):
        if path := machine.which(program):
            return Finding(name, True, f"{version_in(machine.output([path, '--version']) or '')} ({path})")
    hint = f"{_ENGINE} needs it, or a registry that settings name: registry.url"
    return Finding(name, None, "not found", hint, name)


def check_mmdebstrap(machine: ExaminedMachine) -> Finding:
    if path := machine.which("mmdebstrap"):
        return Finding("mmdebstrap", True, path)
    hint = f"stacks of {_ENGINE} need it, or an image that settings name: containers.base"
    return Finding("mmdebstrap", None, "not found", hint, "mmdebstrap")


def check_registry(machine: ExaminedMachine) -> Finding | None:
    """Write a few bytes to the registry and read them back, if the settings name one or nap's own runs."""
    from receiver.builds import image_registry
    from receiver.home.paths import Home
    from registry.errors import RegistryError
    from registry.images import server as image_server
    from registry.images.client import RegistryClient

    name, home, settings = "image registry", Home(machine.home), settings_of(machine)
    if settings is None:
        return None
    if not settings.registry.url and not image_server.pid(home.image_registry):
        hint = "nap up --engine containers starts one"
        return Finding(name, _lacking(machine), "none is named, none is running", hint)
    try:
        registry = image_registry.of(home, settings.registry)
        RegistryClient(registry).round_trip(_CHECKED)
    except (RegistryError, ReceiverError) as error:
        return Finding(name, _lacking(machine), error.message, error.hint or "see its log")
    return Finding(name, True, f"{registry.name} takes images and gives them back")


def _without_runtime(machine: ExaminedMachine, name: str, package: str) -> Finding:
    """Return the finding for a missing runtime. One of the two is enough; with none, suggest Podman."""
    other = "docker" if name == "podman" else "podman"
    if machine.which(other):
        return Finding(name, None, "not found", f"{_ENGINE} can do with {other}")
    hint = f"{_ENGINE} needs podman or docker"
    return Finding(name, _lacking(machine), "not found", hint, package if name == "podman" else "")


def _lacking(machine: ExaminedMachine) -> bool | None:
    """Return the `ok` of a finding about a missing part.

    It is False (nap does not work) when the current engine runs images, else None.
    """
    from receiver import engine_choice
    from receiver.home.paths import Home

    return False if engine_choice.facts(Home(machine.home)).runs_images else None
