"""Wakes readers of folders when something in them changes. All readers share one inotify instance."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncinotify import Inotify, Watch

_LOOK_AGAIN = 0.2  # seconds between polls without inotify


@dataclass(eq=False)
class Signal:
    """One reader's signal. `watched` is False when there is no inotify watch, and the reader has to poll."""

    folder: Path
    watched: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    over: bool = False

    async def wait(self) -> bool:
        """Wait until something can have changed since the last call. Return False if the folder is gone."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.changed.wait(), None if self.watched else _LOOK_AGAIN)
        # Cleared before the caller reads: a change during its read wakes it again.
        self.changed.clear()
        return not self.over and (self.watched or self.folder.is_dir())


class StoryChanges:
    """One per daemon, used by its event loop only.

    The kernel limits inotify instances per user (often 128), so there is one here, and only while there
    are readers. When the kernel refuses an instance or a watch, readers poll.
    """

    def __init__(self) -> None:
        self._inotify: Inotify | None = None
        self._signals: dict[int, set[Signal]] = {}

    @contextlib.contextmanager
    def of(self, folder: Path) -> Iterator[Signal]:
        """Yield a signal for changes in the folder from now on."""
        signal = Signal(folder)
        watch = self._watch(folder)
        if watch is None:
            yield signal
            return
        signal.watched = True
        self._signals.setdefault(watch.wd, set()).add(signal)
        try:
            yield signal
        finally:
            self._leave(signal, watch)

    def _watch(self, folder: Path) -> Watch | None:
        """Return the folder's watch, which all its readers share; None when the kernel refuses it."""
        from asyncinotify import Mask

        try:
            return self._opened().add_watch(folder, Mask.MODIFY | Mask.CREATE | Mask.ATTRIB)
        except OSError:
            self._close_unused()
            return None

    def _opened(self) -> Inotify:
        from asyncinotify import Inotify

        if self._inotify is None:
            self._inotify = Inotify(sync_timeout=0)
            asyncio.get_running_loop().add_reader(self._inotify.fd, self._hear, self._inotify)
        return self._inotify

    def _hear(self, inotify: Inotify) -> None:
        from asyncinotify import Mask

        for event in inotify:
            # An event without a watch means that the queue overflowed and events were lost: wake all readers.
            heard = [event.watch.wd] if event.watch else list(self._signals)
            for signal in [signal for wd in heard for signal in self._signals.get(wd, ())]:
                signal.over |= Mask.IGNORED in event.mask
                signal.changed.set()

    def _leave(self, signal: Signal, watch: Watch) -> None:
        signals = self._signals[watch.wd]
        signals.discard(signal)
        if not signals:
            del self._signals[watch.wd]
            with contextlib.suppress(OSError):  # the kernel drops the watch of a removed folder itself
                self._opened().rm_watch(watch)
        self._close_unused()

    def _close_unused(self) -> None:
        if self._inotify and not self._signals:
            asyncio.get_running_loop().remove_reader(self._inotify.fd)
            self._inotify.close()
            self._inotify = None
