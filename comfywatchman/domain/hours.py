"""Times of the day."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

DAY = 24 * 60
"""Minutes."""

_TEXT = re.compile(r"\s*(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})\s*")


@dataclass(frozen=True, slots=True)
class Hours:
    """From one minute of the day up to another, which may lie after midnight."""

    begin: int
    """Minutes since midnight, local time."""
    end: int

    @classmethod
    def read(cls, text: str) -> Hours:
        """Return what ``22:00-07:00`` says; ``24:00`` is midnight as an end.

        Raises:
            ValueError
        """
        found = _TEXT.fullmatch(text)
        if found is None:
            raise ValueError("expected hours such as 22:00-07:00")
        begin, end = _minute(found[1], found[2]), _minute(found[3], found[4])
        if begin in {DAY, end}:
            raise ValueError("expected hours that begin before they end, such as 22:00-07:00")
        return cls(begin, end % DAY)

    def hold(self, minute: int) -> bool:
        if self.begin < self.end:
            return self.begin <= minute < self.end
        return minute >= self.begin or minute < self.end

    def __str__(self) -> str:
        texts = (f"{at // 60:02}:{at % 60:02}" for at in (self.begin, self.end))
        return "-".join(texts)


def are_open(windows: Sequence[Hours], minute: int) -> bool:
    """Say whether one of *windows* holds that minute of the day; none at all means always."""
    return not windows or any(hours.hold(minute) for hours in windows)


def minutes_to_change(windows: Sequence[Hours], minute: int) -> int | None:
    """Return in how many minutes `are_open` says otherwise; ``None`` for never."""
    now = are_open(windows, minute)
    later = (ahead for ahead in range(1, DAY + 1))
    return next(
        (ahead for ahead in later if are_open(windows, (minute + ahead) % DAY) != now), None
    )


def _minute(hour: str, minute: str) -> int:
    at = int(hour) * 60 + int(minute)
    if int(minute) > 59 or at > DAY:
        raise ValueError("expected hours from 00:00 to 24:00")
    return at
