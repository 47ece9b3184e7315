"""How fast bytes may come, and how slow they must not."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from comfywatchman.domain.errors import SourceUnavailable
from comfywatchman.net.asking import Reply

_LOOK_EVERY = 0.2
_MOMENT = 0.05


class Bandwidth:
    """A budget of bytes per second that all fetch workers share, hence the one lock here."""

    def __init__(self, bytes_per_second: float = math.inf, narrow: float = math.inf) -> None:
        """Allow so much; *narrow* is what is left of it while somebody else comes first."""
        self._wide = self.bytes_per_second = bytes_per_second
        self._narrow = min(narrow, bytes_per_second)
        self.used = threading.Event()
        """Set whenever bytes are taken: for who wants to know whether any come."""
        self._lock = threading.Lock()
        self._free_at = 0.0
        """When, on the monotonic clock, all that was taken will be paid for."""

    @property
    def is_narrow(self) -> bool:
        """Whether somebody else comes first now."""
        return self.bytes_per_second < self._wide

    def shut(self, *, closed: bool) -> None:
        """Leave only what is narrow while *closed*; who waits by another budget waits no more."""
        with self._lock:
            budget = self._narrow if closed else self._wide
            if budget != self.bytes_per_second:
                self.bytes_per_second, self._free_at = budget, 0.0

    def take(self, count: int, stop: threading.Event) -> None:
        """Wait until *count* bytes are within the budget, or until *stop* is set."""
        self.used.set()
        with self._lock:
            now, budget = time.monotonic(), self.bytes_per_second
            until = self._free_at = max(self._free_at, now) + count / budget
        while budget == self.bytes_per_second and (left := until - time.monotonic()) > 0:
            if stop.wait(min(left, _LOOK_EVERY)):
                return
            self.used.set()


class Reading:
    """One answer that is read under a `Watch`, by one thread alone."""

    def __init__(self, reply: Reply, lagging: Lagging) -> None:
        self.stalled = False
        """Whether the watch hung up because too little came."""
        self._reply = reply
        self._lagging = lagging
        self._received = 0
        self._waits = False
        self._waited = 0.0
        self._failed: SourceUnavailable | None = None

    def read(self, most: int) -> bytes:
        """Return what has come, *most* bytes at the most; empty at the end.

        Raises:
            SourceUnavailable
        """
        self._waits = True
        try:
            block = self._reply.read_some(most)
        finally:
            self._waits = False
        self._received += len(block)
        return block

    def fill(self, buffer: memoryview) -> int:
        """Put what comes into *buffer* until it is full or a moment has passed; 0 at the end.

        An encrypted connection gives 16 KiB at a time: too little to be worth a thread's turn.

        Raises:
            SourceUnavailable: nothing had come before; else the next call raises it.
        """
        if self._failed is not None:
            raise self._failed
        filled, until = 0, math.inf
        self._waits = True
        try:
            while count := self._reply.read_into(buffer[filled:]):
                self._received += count
                filled += count
                until = min(until, time.monotonic() + _MOMENT)
                more = filled < len(buffer) and self._reply.more_within(until - time.monotonic())
                if not more or time.monotonic() > until:
                    break
        except SourceUnavailable as error:
            if not filled:
                raise
            self._failed = error
        finally:
            self._waits = False
        return filled

    def look(self, seconds: float, *, stopping: bool) -> None:
        """Hang up if we stop, or if too little came; *seconds* are those since the last look."""
        self._waited += seconds if self._waits else 0.0
        if stopping:
            self._reply.hang_up()
        elif not self.stalled and self._lagging(self._received, self._waited):
            self.stalled = True
            self._reply.hang_up()


class Watch:
    """A thread that hangs up when we stop, or when less than the least comes.

    A thread that waits in a read cannot look at the clock itself. Time that passes while our own
    disk or our own limit holds things up is not counted.
    """

    def __init__(self, stop: threading.Event, window_seconds: float, least_bytes: float) -> None:
        self._stop = stop
        self._window = window_seconds
        self._least = least_bytes
        self._readings: list[Reading] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fetch-watch", daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    @contextmanager
    def over(self, reply: Reply) -> Iterator[Reading]:
        """Watch over *reply* while it is read; several threads may have one each."""
        reading = Reading(reply, Lagging(self._window, self._least))
        self._readings.append(reading)
        try:
            yield reading
        finally:
            self._readings.remove(reading)

    def _run(self) -> None:
        before = time.monotonic()
        while not self._done.wait(_LOOK_EVERY):
            now = time.monotonic()
            for reading in tuple(self._readings):
                reading.look(now - before, stopping=self._stop.is_set())
            before = now


class Lagging:
    """Says whether fewer than *least* bytes came within the last *window* seconds."""

    def __init__(self, window: float, least: float) -> None:
        self._window = window
        self._least = least
        self._seen: deque[tuple[float, int]] = deque()

    def __call__(self, received: int, now: float) -> bool:
        self._seen.append((now, received))
        while len(self._seen) > 1 and self._seen[1][0] <= now - self._window:
            self._seen.popleft()
        then, before = self._seen[0]
        return now - then >= self._window and received - before < self._least
