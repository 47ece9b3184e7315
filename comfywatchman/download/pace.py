"""How fast bytes may come, and how slow they must not."""

from __future__ import annotations

import threading
import time
from collections import deque

from comfywatchman.net.asking import Reply

_LOOK_EVERY = 0.2


class Bandwidth:
    """A budget of bytes per second that all fetch workers share, hence the one lock here."""

    def __init__(self, bytes_per_second: float) -> None:
        self.bytes_per_second = bytes_per_second
        self._lock = threading.Lock()
        self._free_at = 0.0
        """When, on the monotonic clock, all that was taken will be paid for."""

    def take(self, count: int, stop: threading.Event) -> None:
        """Wait until *count* bytes are within the budget, or until *stop* is set."""
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now) + count / self.bytes_per_second
            wait = self._free_at - now
        stop.wait(wait)


class Watch:
    """A thread that hangs up when we stop, or when less than the least comes.

    A thread that waits in a read cannot look at the clock itself. Time that passes while our own
    disk or our own limit holds things up is not counted.
    """

    def __init__(
        self, reply: Reply, stop: threading.Event, window_seconds: float, least_bytes: float
    ) -> None:
        self._reply = reply
        self._stop = stop
        self._window = window_seconds
        self._least = least_bytes
        self._received = 0
        self._reading = False
        self._done = threading.Event()
        self.stalled = False
        """Whether it hung up because too little came."""
        self._thread = threading.Thread(target=self._run, name="fetch-watch", daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def read(self, most: int) -> bytes:
        """Read from the reply; called by one thread alone."""
        self._reading = True
        try:
            block = self._reply.read_some(most)
        finally:
            self._reading = False
        self._received += len(block)
        return block

    def _run(self) -> None:
        lagging = Lagging(self._window, self._least)
        waited, before = 0.0, time.monotonic()
        while not self._done.wait(_LOOK_EVERY):
            now = time.monotonic()
            waited += now - before if self._reading else 0.0
            before = now
            if self._stop.is_set():
                self._reply.hang_up()
                return
            if lagging(self._received, waited):
                self.stalled = True
                self._reply.hang_up()
                return


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
