"""Pairs the two halves of a rename quickly: watchdog 7.1.0 looks through its whole queue for one.

Its queue is searched twice from the front for each name that is moved here. With a few thousand
notifications waiting that takes longer than the notifications take to come: of 33,000 files
created, renamed and deleted in 20 s, half the time of the process went into it, and it was two
minutes behind at the end. Only this module and `observer` know watchdog, and only this one knows
parts of it that are not meant for others; ``watchdog>=7.1,<8`` and a test hold it to that.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import Any

from watchdog.events import FileSystemEvent
from watchdog.observers.inotify import InotifyEmitter, InotifyObserver, InotifyWatchGroup
from watchdog.observers.inotify_move_event_grouper import (
    GroupedInotifyEvent,
    InotifyMoveEventGrouper,
    PathedInotifyEvent,
)


class _Pairing(InotifyMoveEventGrouper):
    """Knows by its cookie whether the first half of a rename waits, and looks for it at the end."""

    def __init__(self) -> None:
        super().__init__()
        self._halves: dict[int, PathedInotifyEvent] = {}

    def put_event(self, event: PathedInotifyEvent) -> None:
        if event.ev.is_moved_from:
            self._halves[event.ev.cookie] = event
            self._queue.put(event, delay=True)
        elif event.ev.is_moved_to:
            self._queue.put(self._paired(event))
        else:
            self._queue.put(event)

    def read_event(self) -> GroupedInotifyEvent | None:
        event = super().read_event()
        if isinstance(event, PathedInotifyEvent) and event.ev.is_moved_from:
            self._halves.pop(event.ev.cookie, None)
        return event

    def get_queued_moved_from_event(self, cookie: int) -> PathedInotifyEvent | None:
        return self._halves.get(cookie)

    def discard_pending_events(self) -> None:
        super().discard_pending_events()
        self._halves.clear()

    def _paired(self, event: PathedInotifyEvent) -> GroupedInotifyEvent:
        half = self._halves.pop(event.ev.cookie, None)
        return event if half is None or not self._taken_out(half) else (half, event)

    def _taken_out(self, half: PathedInotifyEvent) -> bool:
        """Take *half* out of the queue, from its end, where it nearly always is."""
        queue = self._queue
        with queue._lock:  # noqa: SLF001 - see the module's docstring
            waiting = queue._queue  # noqa: SLF001 - the same
            for back in range(1, len(waiting) + 1):
                if waiting[-back][0] is half:
                    del waiting[-back]
                    return True
        return False


@dataclass
class _Group(InotifyWatchGroup):
    avoid: frozenset[bytes] = frozenset()
    """Directories that do not answer: no watch is set in them."""
    _move_event_grouper: InotifyMoveEventGrouper = field(default_factory=_Pairing, init=False)

    def _add_all_callbacks(self, path: bytes) -> None:
        """Watch *path* and all below it, as watchdog does it; what is to *avoid* is not touched."""
        self._add_callback(path)
        if not self.is_recursive:
            return
        for root, names, _ in os.walk(path, followlinks=self.follow_symlink):
            names[:] = [name for name in names if root + b"/" + name not in self.avoid]
            for name in names:
                below = root + b"/" + name
                if self.follow_symlink or not stat.S_ISLNK(_mode(below)):
                    self._add_callback(below)


def _mode(path: bytes) -> int:
    try:
        return os.lstat(path).st_mode
    except OSError:
        return 0


class _Emitter(InotifyEmitter):
    avoid: frozenset[bytes] = frozenset()

    def queue_event(self, event: FileSystemEvent) -> None:
        """Queue what is wanted; most of what watchdog makes of one notification is not."""
        if self._event_filter is None or type(event) in self._event_filter:
            self._event_queue.put((event, self.watch))

    def on_thread_start(self) -> None:
        self._inotify = _Group(
            self._inotify_fd,
            os.fsencode(self.watch.path),
            is_recursive=self.watch.is_recursive,
            event_mask=self.get_event_mask_from_filter(),
            follow_symlink=self.watch.follow_symlink,
            avoid=self.avoid,
        )


class PairingObserver(InotifyObserver):
    """watchdog's observer for Linux, with renames paired quickly."""

    def __init__(self) -> None:
        super().__init__()
        self._emitter_class = self._made  # type: ignore[assignment]  # it is called, and no more
        self.avoid: frozenset[bytes] = frozenset()
        """What no watch is set in, in trees that are scheduled from now on."""

    def _made(self, *arguments: Any, **named: Any) -> _Emitter:
        emitter = _Emitter(*arguments, **named)
        emitter.avoid = self.avoid
        return emitter
