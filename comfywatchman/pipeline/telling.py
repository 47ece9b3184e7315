"""What is told of one transfer while it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable

from comfywatchman.domain.jobs import FetchModel
from comfywatchman.domain.messages import DownloadProgressed, Event

PROGRESS_SECONDS = 1.0
"""News of one transfer come at most this often."""

_SMOOTH = 0.3
"""The weight of the last second in what is told as the speed."""


class Progress:
    """Tells how far a transfer is and how fast; owned by the thread that fetches."""

    def __init__(self, job: FetchModel, tell: Callable[[Event], None]) -> None:
        self._job = job
        self._tell = tell
        self._at = time.monotonic()
        self._done: int | None = None
        self._speed = 0.0

    def __call__(self, done: int, size: int | None) -> None:
        now = time.monotonic()
        if self._done is None:
            self._at, self._done = now, done
            return
        if now - self._at < PROGRESS_SECONDS:
            return
        latest = max(0.0, (done - self._done) / (now - self._at))
        self._speed = latest if not self._speed else self._speed + _SMOOTH * (latest - self._speed)
        self._at, self._done = now, done
        self._tell(DownloadProgressed(self._job.folder, self._job.name, done, size, self._speed))
