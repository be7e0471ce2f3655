"""What machines of a fleet publish of their units, as fleetd does it.

A machine that had a unit takes all that is published of that name away, twice: at once, and again when it
publishes all it knows. The second time may be long after another machine has got the unit.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

# Load, active and sub state.
State = tuple[str, str, str]
Known = dict[str, State]


@dataclass
class Published:
    """What is published now, by unit and machine."""

    _states: dict[str, dict[str, State]] = field(default_factory=dict)

    def save(self, unit: str, machine: str, state: State) -> None:
        self._states.setdefault(unit, {})[machine] = state

    def remove(self, unit: str) -> None:
        """Whichever machine it is from."""
        self._states.pop(unit, None)

    def has(self, unit: str, machine: str) -> bool:
        return machine in self._states.get(unit, {})

    def of(self, only: str) -> list[tuple[str, str, State]]:
        """Units with their machines and states; all of them, or those of one name."""
        units = ((unit, found) for unit, found in self._states.items() if only in ("", unit))
        return [(unit, machine, state) for unit, found in units for machine, state in found.items()]


@dataclass
class Publisher:
    """One machine's: what changes it publishes at once, and all of it after `every` seconds."""

    machine: str
    published: Published
    every: float
    _cache: dict[str, State | None] = field(default_factory=dict)
    _last: float = field(default_factory=time.monotonic)

    def publish(self, seen: Known) -> None:
        changed = {unit for unit, state in seen.items() if self._cache.get(unit) != state}
        gone = {unit for unit, state in self._cache.items() if state and unit not in seen}
        self._cache |= {**seen, **dict.fromkeys(gone)}
        for unit in changed | gone:
            self._publish(unit)
        if time.monotonic() - self._last >= self.every:
            self._last = time.monotonic()
            for unit in list(self._cache):
                self._publish(unit)
            self._cache = {unit: state for unit, state in self._cache.items() if state}

    def _publish(self, unit: str) -> None:
        state = self._cache[unit]
        if state is None:
            self.published.remove(unit)
        else:
            self.published.save(unit, self.machine, state)
