"""The port of an app's web process: the same one for all its releases."""

from __future__ import annotations

from typing import Any

from receiver.ledger.ledger import Ledger
from registry import ports

# Above the ports of slaves on nodes (`nodes.first_port`), and below the kernel's ephemeral ports.
_APPS = range(28000, ports.LASTING.stop)


def of(ledger: Ledger, app: str) -> int:
    """Return the port in the app's settings. The first time, choose a free one and keep it there."""

    def choose(config: dict[str, Any]) -> None:
        others = {str(other.config.get("port")) for other in ledger.apps()}
        while "port" not in config:
            port = ports.lasting("127.0.0.1", _APPS)
            if str(port) not in others:
                config["port"] = port

    config = ledger.app(app).config
    return int((config if "port" in config else ledger.configure(app, choose))["port"])
