"""Which port an app's web process listens on: the same one for all its releases."""

from __future__ import annotations

from receiver.ledger import Ledger
from registry import ports


def of(ledger: Ledger, app: str) -> int:
    """The port in the app's settings; a free one is chosen and kept there the first time."""
    config = ledger.app(app).config
    if "port" not in config:
        config["port"] = ports.lasting("127.0.0.1")
        ledger.configure(app, config)
    return int(config["port"])
