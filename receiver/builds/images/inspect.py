"""Inspects an image that nap did not make: its configuration, and whether MPI programs can run in it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from buildpacks.errors import BuildpackError
from buildpacks.mpi_xml.manifest import Manifest
from buildpacks.packs import program
from buildpacks.stacks.machine_mpi import identify
from units.job import Pairs
from units.oci.runtime import Runtime

_PACKAGES = "apt-get install --no-install-recommends openssh-server openssh-client openmpi-bin"
# Prints a line for each that exists of sshd, ssh, mpirun and the program; then the version of mpirun.
_LOOK = """\
PATH=$PATH:/usr/sbin:/sbin
command -v sshd >/dev/null && echo sshd
command -v ssh >/dev/null && echo ssh
command -v mpirun >/dev/null && echo mpirun
[ -z "$1" ] || [ -f "$1" ] && echo program
mpirun --version 2>&1
"""


@dataclass(frozen=True)
class Config:
    """An image's own configuration. `workdir` is /app when the image sets none."""

    workdir: str
    env: Pairs


def config(runtime: Runtime, image: str) -> Config:
    """Read an image's configuration. UnitError when there is no such image."""
    found: dict[str, Any] = json.loads(runtime.ask("image", "inspect", image))[0]["Config"]
    pairs = (entry.partition("=") for entry in found.get("Env") or ())
    return Config(found.get("WorkingDir") or "/app", tuple((name, value) for name, _, value in pairs))


def flavour(runtime: Runtime, image: str, workdir: str, manifest: Manifest) -> str:
    """Return the MPI that an image has, as in `Stack.flavour`.

    Raises:
        BuildpackError: the image lacks ssh, an MPI or the program; the hint says how to add it.
    """
    name = "" if manifest.run else program.name_of(manifest)
    look = ("sh", "-c", _LOOK, "look", name)
    options = ("--rm", "--network", "none", "--user", str(runtime.uid), "--workdir", workdir)
    done = runtime.run("run", *options, "--entrypoint", look[0], image, *look[1:])
    found = done.stdout.splitlines()
    lacking = [tool for tool in ("sshd", "ssh", "mpirun") if tool not in found]
    if lacking:
        sentence = f"the Dockerfile's image has no {', no '.join(lacking)}, which mpi.xml needs in it"
        raise BuildpackError(sentence, f"Add a step: RUN {_PACKAGES}")
    if "program" not in found:
        sentence = f"the Dockerfile's image has no program {name} in {workdir}"
        raise BuildpackError(sentence, "mpi.xml's `to` names it, the Dockerfile's last WORKDIR where it is.")
    known = next(filter(None, (identify(name, done.stdout) for name in ("openmpi", "mpich"))), None)
    if known is None:
        sentence = "the mpirun of the Dockerfile's image is neither Open MPI's nor MPICH's"
        raise BuildpackError(sentence, f"Add a step: RUN {_PACKAGES}")
    return known[1]
