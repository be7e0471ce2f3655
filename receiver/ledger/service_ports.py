"""Which port an app's web process listens on: the same one for all its releases."""

from __future__ import annotations

from receiver.ledger.ledger import Ledger
from registry import ports

# Above those of slaves on nodes (`nodes.first_port`), and below those that anybody may be given.
_APPS = range(28000, ports.LASTING.stop)


def of(ledger: Ledger, app: str) -> int:
    """The port in the app's settings; a free one is chosen and kept there the first time."""
    config = ledger.app(app).config
    if "port" not in config:
        others = {str(other.config.get("port")) for other in ledger.apps()}
        while str(port := ports.lasting("127.0.0.1", _APPS)) in others:
            pass
        config["port"] = port
        ledger.configure(app, config)
    return int(config["port"])
