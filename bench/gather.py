"""How long a gather takes after its last slave, and in all: `python bench/gather.py`.

A real etcd, the members written by another process, as on a cluster. "after the last" begins
before the last slave's key is sent; "in all" begins before the first one's, and all are sent as
fast as one process can.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from registry import Endpoint, Keys, Member, RunSlaves, Store, StoreSettings, gather, open_store
from registry.etcd.server import start, stop

APP, TTL, DEADLINE = "bench", 60, 60.0
ROUNDS = {4: 15, 100: 15, 1000: 5}
KEYS = Keys("gather")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        etcd = Path(folder) / "etcd"
        endpoint = start(etcd, print)
        try:
            print(f"{'API':4}{'members':>8}{'after the last':>18}{'in all':>12}")
            for api in ("v2", "v3"):
                for members in ROUNDS:
                    last, whole = measure(replace(endpoint, api=api), Path(folder), members)
                    print(f"{api:4}{members:8}{last * 1e3:15.1f} ms{whole * 1e3:9.0f} ms")
        finally:
            stop(etcd)


def measure(endpoint: Endpoint, folder: Path, members: int) -> tuple[float, float]:
    """Medians in seconds, over some rounds: after the last member, and in all."""
    settings = folder / "etcd.json"
    StoreSettings(endpoint).save(settings)
    store = open_store(endpoint)
    store.ping()
    with registrar(settings) as announcer:
        rounds = range(1, ROUNDS[members] + 1)
        last = [after_the_last(store, announcer, members, run) for run in rounds]
        whole = [in_all(store, announcer, members, run) for run in rounds]
    return statistics.median(last), statistics.median(whole)


def after_the_last(store: Store, announcer: Registrar, members: int, run: int) -> float:
    """All but one are there and were seen; the last one registers while the gather waits."""
    seen: list[Member] = []

    def on_member(member: Member) -> None:
        seen.append(member)
        if len(seen) == members - 1:
            announcer.tell("put", members, members, run)

    announcer.tell("put", 1, members - 1, run)
    gather(store, RunSlaves(KEYS, APP, run, members), DEADLINE, on_member)
    done = time.monotonic()
    announcer.answer()
    begun = announcer.answer()
    announcer.tell("remove", 1, members, run)
    announcer.answer()
    return done - begun


def in_all(store: Store, announcer: Registrar, members: int, run: int) -> float:
    announcer.tell("put", 1, members, run)
    gather(store, RunSlaves(KEYS, APP, run, members), DEADLINE)
    done = time.monotonic()
    begun = announcer.answer()
    announcer.tell("remove", 1, members, run)
    announcer.answer()
    return done - begun


@dataclass
class Registrar:
    """The other process: does what it is told, and answers when it began to (monotonic)."""

    orders: IO[str]
    answers: IO[str]

    def tell(self, verb: str, first: int, last: int, run: int) -> None:
        print(json.dumps([verb, first, last, run]), file=self.orders, flush=True)

    def answer(self) -> float:
        return float(self.answers.readline())


@contextmanager
def registrar(settings: Path) -> Iterator[Registrar]:
    command = [sys.executable, __file__, str(settings)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the registrar has no pipes")
        yield Registrar(process.stdin, process.stdout)
        process.stdin.close()


def register(settings: Path) -> None:
    """The registrar's own main: orders on stdin, times on stdout."""
    store = open_store(StoreSettings.load(settings).endpoint)
    store.ping()
    for line in sys.stdin:
        verb, first, last, run = json.loads(line)
        entries = {
            KEYS.slave(APP, i): Member(f"slave{i}", "127.64.0.1", 22, 1, "n", 1, run).to_json()
            for i in range(first, last + 1)
        }
        begun = time.monotonic()
        if verb == "put":
            store.put_all(entries, TTL)
        else:
            store.remove_all(entries)
        print(begun, flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        register(Path(sys.argv[1]))
    else:
        main()
