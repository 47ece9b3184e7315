"""When a file that could not be measured is tried again. Pure: times are numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DELAYS = (1.0, 5.0, 30.0)
"""Seconds before each further try."""

LATER = 900.0
"""Seconds between looks after that; news of the file comes first, where news come."""


@dataclass(frozen=True, slots=True)
class _Wait:
    news: float
    """When there was last news of the file as it was tried; whatever comes later is newer."""
    tries: int
    due: float


class Retries:
    """Files to leave alone for a while.

    Owned by the thread that hands files out. *now* is seconds on one monotonic clock, *news* any
    number that grows when there is news of the file.
    """

    def __init__(self) -> None:
        self._waits: dict[Path, _Wait] = {}

    def failed(self, path: Path, news: float, now: float) -> None:
        """Note that *path* was tried in vain."""
        before = self._waits.get(path)
        tries = before.tries + 1 if before is not None and before.news >= news else 1
        delay = DELAYS[tries - 1] if tries <= len(DELAYS) else LATER
        self._waits[path] = _Wait(news, tries, now + delay)

    def defer(self, path: Path, news: float, due: float) -> None:
        """Leave *path* alone until *due*, which is no failure."""
        before = self._waits.get(path)
        tries = before.tries if before is not None and before.news >= news else 0
        self._waits[path] = _Wait(news, tries, due)

    def ready(self, path: Path, news: float, now: float) -> bool:
        """Say whether *path* may be tried: it never failed, it is time, or there is news."""
        wait = self._waits.get(path)
        return wait is None or wait.due <= now or wait.news < news

    def passed(self, path: Path) -> None:
        """Note that *path* was measured, or is no matter any more."""
        self._waits.pop(path, None)

    def next_due(self, now: float) -> float | None:
        """Return the next time after *now* that something is due."""
        return min((wait.due for wait in self._waits.values() if wait.due > now), default=None)

    def tidy(self, now: float) -> None:
        """Forget what has been due for long: the file is gone, or somebody else measured it."""
        self._waits = {p: wait for p, wait in self._waits.items() if wait.due > now - LATER}

    def waiting(self) -> int:
        return len(self._waits)
