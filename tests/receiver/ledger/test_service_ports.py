"""The port that an app's web process is found at."""

from __future__ import annotations

from pathlib import Path

import pytest

from receiver.ledger import service_ports
from receiver.ledger.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = Ledger(tmp_path / "ledger.db")
    for app in ("one", "two"):
        made.add_app(app)
    return made


def test_an_app_keeps_its_port(ledger: Ledger) -> None:
    assert (
        service_ports.of(ledger, "one")
        == service_ports.of(ledger, "one")
        == int(ledger.app("one").config["port"])
    )


def test_no_app_is_given_anothers_port(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    offered = iter((28000, 28000, 28001))
    monkeypatch.setattr(service_ports.ports, "lasting", lambda *_: next(offered))
    assert (service_ports.of(ledger, "one"), service_ports.of(ledger, "two")) == (28000, 28001)


def test_nobody_is_given_an_apps_port_who_asks_for_any(ledger: Ledger) -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert 28000 <= service_ports.of(ledger, "one") < first
