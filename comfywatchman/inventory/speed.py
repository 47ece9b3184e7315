"""How fast measuring goes, and so how long it will take. Pure: times are numbers."""

from __future__ import annotations

from collections import deque

WINDOW_SECONDS = 60.0
_LEAST_SECONDS = 1.0


class Speed:
    """Bytes a second over the last minute of work; the time of a pause is not counted.

    *now* is seconds on one monotonic clock, *total* bytes read since the beginning.
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()
        self.bytes_per_second = 0.0

    def note(self, now: float, total: int) -> None:
        """Take in how many bytes were read by *now*."""
        self._seen.append((now, total))
        while len(self._seen) > 2 and self._seen[1][0] <= now - WINDOW_SECONDS:
            self._seen.popleft()
        then, before = self._seen[0]
        if now - then >= _LEAST_SECONDS:
            self.bytes_per_second = (total - before) / (now - then)

    def pause(self) -> None:
        """Begin anew after a pause, or after there was nothing to do; the speed is kept."""
        self._seen.clear()

    def remaining(self, size: int) -> float | None:
        """Return how many seconds *size* more bytes will take; ``None`` while nobody can say."""
        return size / self.bytes_per_second if self.bytes_per_second > 0 else None
