"""The network of an app's runs. It exists while a run uses it."""

from __future__ import annotations

import time
from typing import Any

from units.oci.runtime import Runtime, last_line

# MTU in bytes: traffic inside this machine needs no small packets. Large messages are twice as fast.
_LARGEST = 65535
# Seconds of pause between the tries to remove a network.
_LETS_GO_AFTER = 0.1, 0.3, 1.0, 2.0, 4.0


def have(runtime: Runtime, spec: dict[str, Any]) -> None:
    """Create the network that the run's `spec` names, if it names one and it does not exist.

    Raise OSError when it cannot be created, or when one of that name is not nap's.
    """
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
    """Return the options for the MTU and for isolation; Docker isolates its bridge networks by default."""
    if runtime.kind == "docker":
        return ("--opt", f"com.docker.network.driver.mtu={_LARGEST}")
    apart = ("--opt", "isolate=true") if runtime.isolates else ()
    return ("--opt", f"mtu={_LARGEST}", *apart)


def is_missed(said: str) -> bool:
    """Return whether a client's error says that another run has just removed the network."""
    return "network" in said and "not found" in said


def remove(runtime: Runtime, name: str) -> None:
    """Remove a network, unless the app's next run uses it.

    Retry for some seconds: Docker detaches a removed container's endpoint with a delay.
    """
    for pause in _LETS_GO_AFTER:
        if "active endpoints" not in runtime.run("network", "rm", name).stderr:
            return
        if runtime.run("ps", "--all", "--quiet", "--filter", f"network={name}").stdout.strip():
            return
        time.sleep(pause)
