"""The command line that builds an image from a Dockerfile with Podman or Docker's classic builder."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from units.oci.runtime import Runtime

# Predefined build arguments: they reach neither layers nor history. Their values come from the environment.
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
# For nap's registry only. A build drops it: nap's images are local, and FROM can pull from other registries.
_UNSAFE = ("--tls-verify=false",)
# The builders' lines on themselves: Docker's on its kind and its containers, both builders' on layer ids.
_CHATTER = re.compile(
    r"DEPRECATED: The legacy builder|BuildKit is currently disabled|environment-variable\.$"
    r"|Sending build context|Removing intermediate container|-+> |(\[\d+/\d+\] )?COMMIT"
    r"|(Successfully built )?[0-9a-f]{12,64}$|Resource limits are not supported|$"
)


@dataclass(frozen=True)
class ImageBuild:
    """What is built, and the file for its id: the build gives an image no name."""

    context: Path
    dockerfile: Path
    id_file: Path
    target: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


def command(runtime: Runtime, build: ImageBuild) -> list[str]:
    """Return the argv of the build; run it with `environment(runtime)`."""
    options = ["--file", str(build.dockerfile), "--iidfile", str(build.id_file)]
    if build.target:
        options += ["--target", build.target]
    for name, value in build.args.items():
        options += ["--build-arg", f"{name}={value}"]
    for name, value in build.labels.items():
        options += ["--label", f"{name}={value}"]
    for name in _PROXIES:
        if runtime.kind == "docker" and name in os.environ:
            options += ["--build-arg", name]
    registry = tuple(flag for flag in runtime.registry_flags if flag not in _UNSAFE)
    return runtime.command("build", *registry, *options, str(build.context))


def environment(runtime: Runtime) -> dict[str, str]:
    """Return a build's environment. BuildKit is off: not every machine has it, and builds must not differ."""
    return {**runtime.env, "DOCKER_BUILDKIT": "0"}


def is_chatter(line: str) -> bool:
    """Return whether a line of the builder's output says nothing about the build."""
    return _CHATTER.match(line.strip()) is not None
