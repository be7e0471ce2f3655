"""The command line that builds an image: the same Dockerfile, by Podman or by Docker's classic builder."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from units.oci.runtime import Runtime

# Known to every Dockerfile, and in no layer and no history; their values come from the environment.
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
# Said of nap's registry, whose images are here already; what a FROM has pulled comes from any.
_UNSAFE = ("--tls-verify=false",)
# What the builders say of themselves: Docker's of its kind and its containers, both of the layers' ids.
_CHATTER = re.compile(
    r"DEPRECATED: The legacy builder|BuildKit is currently disabled|environment-variable\.$"
    r"|Sending build context|Removing intermediate container|-+> |(\[\d+/\d+\] )?COMMIT"
    r"|(Successfully built )?[0-9a-f]{12,64}$|Resource limits are not supported|$"
)


@dataclass(frozen=True)
class ImageBuild:
    """What is built, and where its id is written: an image is not given a name by being built."""

    context: Path
    dockerfile: Path
    id_file: Path
    target: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


def command(runtime: Runtime, build: ImageBuild) -> list[str]:
    """The argv; it is run with `environment(runtime)`."""
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
    """Without BuildKit, which is not on every machine: one builder, one behaviour."""
    return {**runtime.env, "DOCKER_BUILDKIT": "0"}


def is_chatter(line: str) -> bool:
    """Whether a line of the builder's says nothing of the build."""
    return _CHATTER.match(line.strip()) is not None
