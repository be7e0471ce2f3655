"""Live members, and waiting for all slaves of a run to become members."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from registry.errors import RegistryError
from registry.keys import Keys, slave_name

if TYPE_CHECKING:
    from registry.etcd.store import Listing, Store

# Seconds: the longest time between two polls of `stopped` and of the list.
SLICE = 0.5


@dataclass(frozen=True)
class Member:
    """A live slave's entry in etcd. `name` is the last part of its key."""

    name: str
    ip: str
    port: int
    slots: int
    node: str
    release: int
    run: int

    def to_json(self) -> str:
        """Return the value of the member's key. Only the key has the name."""
        data = asdict(self)
        del data["name"]
        return json.dumps(data, separators=(",", ":"))

    @classmethod
    def from_json(cls, name: str, text: str) -> Member:
        try:
            data = json.loads(text)
            return cls(
                name=name,
                ip=_printable(data["ip"]),
                port=int(data["port"]),
                slots=int(data["slots"]),
                node=_printable(data["node"]),
                release=int(data["release"]),
                run=int(data["run"]),
            )
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise RegistryError(
                f"What etcd has for {name} is not a member: {text[:80]!r}."
            ) from error


def _printable(value: object) -> str:
    """Return the text. Raise ValueError for anything unprintable: this is shown on terminals."""
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError(value)
    return value


@dataclass(frozen=True)
class RunSlaves:
    """The slaves 1 to `count` of a run, which are announced under the `keys` of its home."""

    keys: Keys
    app: str
    run: int
    count: int


def gather(
    store: Store,
    slaves: RunSlaves,
    within: float,
    on_member: Callable[[Member], None] = lambda _: None,
    stopped: Callable[[], bool] = lambda: False,
) -> tuple[Member, ...]:
    """Wait until all slaves of a run are members; return them in slave order.

    `within` is the timeout in seconds. `on_member` is called once for each member, as it appears. `stopped`
    is polled every half second, unless etcd takes longer to answer. While etcd is down, this retries.

    Raises RegistryError on the timeout or when `stopped` returns True, with the names of the missing slaves
    in `missing`, and when etcd refuses.
    """
    end = time.monotonic() + within
    roll = _Roll(slaves.run, slaves.count, on_member)
    app, folder = slaves.app, slaves.keys.slaves(slaves.app)
    with store.watch(folder) as watch:
        while True:
            try:
                listing = store.list(folder)
                roll.call(listing)
                if not roll.missing:
                    return roll.members
                _check(app, roll, stopped, time.monotonic() < end)
                watch.wait(listing.index, min(SLICE, end - time.monotonic()))
            except RegistryError as error:
                if not error.retry:
                    raise
                _check(app, roll, stopped, time.monotonic() < end, error)
                threading.Event().wait(max(0.0, min(SLICE, end - time.monotonic())))


class _Roll:
    """The slaves that a run waits for, and those that are members so far."""

    def __init__(self, run: int, want: int, on_member: Callable[[Member], None]) -> None:
        self._run = run
        self._names = tuple(slave_name(index) for index in range(1, want + 1))
        self._on_member = on_member
        self._present: dict[str, Member] = {}
        self._greeted: set[Member] = set()
        self._read: dict[str, tuple[str, Member | None]] = {}

    def call(self, listing: Listing) -> None:
        """Replace the members by those in the listing, and call `on_member` for each new one."""
        self._present = {}
        for key, value in listing.entries.items():
            member = self._member(key, value)
            if member is not None and member.run == self._run:
                self._present[member.name] = member
        for name in self._names:
            newcomer = self._present.get(name)
            if newcomer is not None and newcomer not in self._greeted:
                self._greeted.add(newcomer)
                self._on_member(newcomer)

    def _member(self, key: str, value: str) -> Member | None:
        """Return an entry's member. A value is parsed once: listings repeat most of the last one."""
        known = self._read.get(key)
        if known is None or known[0] != value:
            known = self._read[key] = (value, _read(key, value))
        return known[1]

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(name for name in self._names if name not in self._present)

    @property
    def members(self) -> tuple[Member, ...]:
        return tuple(self._present[name] for name in self._names if name in self._present)


def _read(key: str, value: str) -> Member | None:
    """Return the member, or None for a value that no announcer wrote."""
    try:
        return Member.from_json(key.rpartition("/")[2], value)
    except RegistryError:
        return None


def _check(
    app: str,
    roll: _Roll,
    stopped: Callable[[], bool],
    in_time: bool,
    cause: RegistryError | None = None,
) -> None:
    missing = roll.missing
    of = f"{len(missing)} of {len(missing) + len(roll.members)} slaves of {app}"
    if stopped():
        raise RegistryError(f"The wait for {of} was stopped.", missing=missing) from cause
    if not in_time and cause is not None:
        raise RegistryError(
            f"{of} did not register in time: {cause.message}", cause.hint, missing=missing
        ) from cause
    if not in_time:
        names = ", ".join(missing[:8]) + (", ..." if len(missing) > 8 else "")
        raise RegistryError(
            f"{of} did not register in time: {names}.",
            "Their logs say why; a longer time is `gather_timeout` in the receiver's settings.yaml.",
            missing=missing,
        )
