"""The port of an app's web process: the same one for all its releases."""

from __future__ import annotations

from receiver.ledger.ledger import Ledger
from registry import ports

# Above the ports of slaves on nodes (`nodes.first_port`), and below the kernel's ephemeral ports.
_APPS = range(28000, ports.LASTING.stop)


def of(ledger: Ledger, app: str) -> int:
    """Return the port in the app's settings. The first time, choose a free one and keep it there."""
    config = ledger.app(app).config
    if "port" not in config:
        others = {str(other.config.get("port")) for other in ledger.apps()}
        while str(port := ports.lasting("127.0.0.1", _APPS)) in others:
            pass
        config["port"] = port
        ledger.configure(app, config)
    return int(config["port"])
