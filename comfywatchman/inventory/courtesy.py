"""Whether somebody else reads from the disk that we read from. Pure: counters and times go in."""

from __future__ import annotations

from collections import deque
from itertools import islice

TICK_SECONDS = 0.01
"""How often the counters are looked at: for so long a neighbor's reads meet ours."""

LEAST = 32 << 10
"""Bytes by others within the last few ticks that are worth stepping back for."""

_FEW = 10
_MEMORY_TICKS = 500
_FIRST_TICKS = 20
_SETTLES_SECONDS = 0.15
"""What was asked for before we stepped back still comes in for so long."""
_QUIET_SECONDS = 0.5
_LONGEST_DISBELIEF = 60.0


class Courtesy:
    """Steps back for whoever else reads, for as long as they do.

    The disk counts what it has read, the kernel counts what our threads asked for; what is left
    others asked for. Our own reading may look like somebody else's where a helper of the kernel
    does it for us. So only what is read while we keep quiet proves a neighbor, and after an alarm
    that proves to be false the next one is not believed for a while.

    Times are seconds on one monotonic clock.
    """

    def __init__(self) -> None:
        self._left: deque[int] = deque(maxlen=_MEMORY_TICKS)
        """What the disk read and we did not ask for, at the last ticks."""
        self._since: float | None = None
        """When we stepped back; ``None`` while we read."""
        self._seen: float | None = None
        """When a neighbor was last seen since."""
        self._false_alarms = 0
        self._deaf_until = 0.0

    def tick(self, now: float, disk: int, own: int) -> bool:
        """Say whether to let others go first until the next tick.

        Args:
            now: the time.
            disk: bytes that the disk has read, ever.
            own: bytes that we had it read, ever.
        """
        self._left.append(disk - own)
        if self._since is None:
            if now >= self._deaf_until and self._by_others() >= LEAST:
                self._since, self._seen = now, None
        elif now - self._since >= _SETTLES_SECONDS:
            if self._by_others() >= LEAST // 4:
                self._seen = now
            elif now - max(self._since + _SETTLES_SECONDS, self._seen or 0.0) > _QUIET_SECONDS:
                self._go_on(now)
        return self._since is not None

    def _by_others(self) -> int:
        """Return how many bytes others read within the last few ticks.

        What we asked for is counted before it comes, so that what is left dips while something
        of ours is on its way, and comes back: it is compared with the most that it has been.
        """
        before = len(self._left) - _FEW
        if before < _FIRST_TICKS:
            return 0
        return self._left[-1] - max(islice(self._left, before))

    def _go_on(self, now: float) -> None:
        if self._seen is None:
            self._false_alarms += 1
            self._deaf_until = now + min(_LONGEST_DISBELIEF, 0.5 * 2**self._false_alarms)
        else:
            self._false_alarms = 0
        self._since = None
