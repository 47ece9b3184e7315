"""Decides when a file that changed has come to rest."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf
from pathlib import Path

from comfywatchman.domain.files import Stamp

Look = Callable[[Path], tuple[Stamp, bool | None] | None]
"""Gives a file's stamp and whether somebody has it open for writing, ``None`` where the file
system cannot tell that; no pair at all where there is no file."""

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
"""Seconds between looks at a file that somebody has open for writing; doubled each time."""

MOST_WAITING = 8192
"""Paths waiting at one time; of more only the directory is remembered, for a sweep."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How long a path must be without news to be at rest, in seconds."""

    quick: float
    """Where it was renamed into place, or nobody has it open for writing."""
    slow: float
    """Where nobody can tell whether it is still being written."""
    longest: float = inf
    """After this long since the first news it is handed over although news goes on, unless
    somebody is known to be writing."""


@dataclass(slots=True)
class _Restless:
    """A path that waits."""

    rule: Rule
    stamp: Stamp
    renamed: bool
    first_news: float
    quiet_since: float
    due: float
    queued: float
    """The earliest entry for it in the order of looks that is still valid."""
    pause: float = FIRST_PAUSE


class Settling:
    """Paths that changed and may change again.

    Owned by the settle thread. Times are seconds on one monotonic clock, handed in by the owner.
    """

    def __init__(self, rule: Callable[[Path], Rule], *, most: int = MOST_WAITING) -> None:
        self._rule = rule
        self._most = most
        self._paths: dict[Path, _Restless] = {}
        self._order: list[tuple[float, Path]] = []
        self._dirty: set[Path] = set()

    def note(self, path: Path, now: float, look: Look, renamed: bool = False) -> None:
        """Take in that *path* was reported as changed; *renamed*: as given this name just now.

        A path that is gone is forgotten: its removal is news of its own.
        """
        glimpse = look(path)
        if glimpse is None:
            self.forget(path)
            return
        stamp, written = glimpse
        waiting = self._paths.get(path)
        if waiting is None:
            self._begin(path, now, stamp, written, renamed=renamed)
            return
        waiting.renamed = renamed or (waiting.renamed and _same_bytes(waiting.stamp, stamp))
        waiting.stamp, waiting.quiet_since = stamp, now
        self._look_at(path, waiting, _next_look(waiting, now, written))

    def settled(self, now: float, look: Look) -> list[Path]:
        """Return, and forget, the paths that are at rest.

        A path that is gone is forgotten without being returned.
        """
        at_rest: list[Path] = []
        while self._order and self._order[0][0] <= now:
            queued, path = heapq.heappop(self._order)
            waiting = self._paths.get(path)
            if waiting is None or waiting.queued != queued:
                continue
            if waiting.due > now:
                waiting.queued = inf
                self._look_at(path, waiting, waiting.due)
            elif self._rests(path, waiting, now, look):
                del self._paths[path]
                at_rest.append(path)
        return at_rest

    def next_look(self) -> float | None:
        """Say when `settled` is next worth calling; ``None`` while all is quiet."""
        while self._order:
            queued, path = self._order[0]
            waiting = self._paths.get(path)
            if waiting is not None and waiting.queued == queued:
                if waiting.due <= queued:
                    return queued
                waiting.queued = inf
                self._look_at(path, waiting, waiting.due)
            heapq.heappop(self._order)
        return None

    def forget(self, path: Path) -> None:
        """Stop waiting for *path*, which is gone."""
        self._paths.pop(path, None)

    def waits(self, path: Path) -> bool:
        """Whether there was news of *path*, and it has not come to rest."""
        return path in self._paths or path.parent in self._dirty

    def waiting(self) -> int:
        """Return how many paths have not come to rest."""
        return len(self._paths)

    def paths(self) -> Iterator[Path]:
        """Yield the paths that have not come to rest: what is arriving."""
        yield from self._paths

    def dirty_directories(self) -> list[Path]:
        """Return, and forget, the directories to sweep because too much changed at one time.

        None are returned before there is room again for what such a sweep will find.
        """
        if not self._dirty or len(self._paths) > self._most // 2:
            return []
        dirty = sorted(self._dirty)
        self._dirty.clear()
        return dirty

    def _begin(
        self, path: Path, now: float, stamp: Stamp, written: bool | None, *, renamed: bool
    ) -> None:
        if len(self._paths) >= self._most:
            self._dirty.add(path.parent)
            return
        waiting = _Restless(self._rule(path), stamp, renamed, now, now, now, inf)
        self._paths[path] = waiting
        self._look_at(path, waiting, _next_look(waiting, now, written))

    def _rests(self, path: Path, waiting: _Restless, now: float, look: Look) -> bool:
        glimpse = look(path)
        if glimpse is None:
            self.forget(path)
            return False
        stamp, written = glimpse
        if stamp != waiting.stamp or written:
            waiting.renamed = waiting.renamed and _same_bytes(waiting.stamp, stamp)
            waiting.stamp, waiting.quiet_since = stamp, now
        again = _next_look(waiting, now, written)
        if again <= now:
            return True
        waiting.queued = inf
        self._look_at(path, waiting, again)
        return False

    def _look_at(self, path: Path, waiting: _Restless, due: float) -> None:
        """Put *path* into the order of looks, unless an earlier entry leads to it anyway."""
        waiting.due = due
        if due < waiting.queued:
            waiting.queued = due
            heapq.heappush(self._order, (due, path))


def _next_look(waiting: _Restless, now: float, written: bool | None) -> float:
    """Return when the path is at rest if nothing more happens, or the next look at a writer."""
    if written:
        pause = waiting.pause
        waiting.pause = min(2 * pause, LONGEST_PAUSE)
        return now + pause
    waiting.pause = FIRST_PAUSE
    sure = waiting.renamed or written is False
    rests_at = waiting.quiet_since + (waiting.rule.quick if sure else waiting.rule.slow)
    return min(rests_at, max(now, waiting.first_news + waiting.rule.longest))


def _same_bytes(before: Stamp, after: Stamp) -> bool:
    """Say whether only names, owners or permissions can have changed in between."""
    return (before.device, before.inode, before.size, before.mtime_ns) == (
        after.device,
        after.inode,
        after.size,
        after.mtime_ns,
    )
