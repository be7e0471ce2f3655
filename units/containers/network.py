"""The network of an app's runs: there while a run is on it."""

from __future__ import annotations

import time
from typing import Any

from units.oci.runtime import Runtime, last_line

# Bytes a packet: what never leaves this machine need not be cut up. Large messages are twice as fast.
_LARGEST = 65535
# Seconds, one after the other.
_LETS_GO_AFTER = 0.1, 0.3, 1.0, 2.0, 4.0


def have(runtime: Runtime, spec: dict[str, Any]) -> None:
    """The one that the run's `spec` names, if it names one. OSError when it cannot be had."""
    name, mine = spec["network"], f"nap.home={spec['home']}"
    if not name:
        return
    made = runtime.run("network", "create", "--label", mine, *_options(runtime), name)
    if made.returncode and "exists" not in made.stderr:
        raise OSError(f"the network {name} cannot be made: {last_line(made.stderr)}")
    if made.returncode:
        labels = runtime.run("network", "inspect", "--format", "{{.Labels}}", name).stdout
        if mine.partition("=")[2] not in labels:
            raise OSError(f"there is a network {name} that is not nap's")


def _options(runtime: Runtime) -> tuple[str, ...]:
    """Docker lets no network of its kind reach another one unless it is told to."""
    if runtime.kind == "docker":
        return ("--opt", f"com.docker.network.driver.mtu={_LARGEST}")
    apart = ("--opt", "isolate=true") if runtime.isolates else ()
    return ("--opt", f"mtu={_LARGEST}", *apart)


def is_missed(said: str) -> bool:
    """Whether a container was not made because another run has just taken the network away."""
    return "network" in said and "not found" in said


def remove(runtime: Runtime, name: str) -> None:
    """Unless the app's next run is on it. Docker lets go of a container's end of it a moment late."""
    for pause in _LETS_GO_AFTER:
        if "active endpoints" not in runtime.run("network", "rm", name).stderr:
            return
        if runtime.run("ps", "--all", "--quiet", "--filter", f"network={name}").stdout.strip():
            return
        time.sleep(pause)
