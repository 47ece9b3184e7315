"""What becomes of new model files as a walk meets them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

from comfywatchman.daemon.watching import NOBODY_TELLS_SECONDS, Stop
from comfywatchman.disk.files import being_written
from comfywatchman.domain.files import Stamp
from comfywatchman.domain.messages import Event
from comfywatchman.watch.notice import Notice, Noticed

LOOK_SECONDS = 0.5
"""How long one walk looks into new files; what else is new is noted, and looked into later."""

TOLD_WITHIN_SECONDS = 10.0
"""After that a notification of a file has been heard and dealt with, if there was one."""

STORED_AT_ONCE = 200
NOTED_AT_ONCE = 1000
"""5,000 took 7 MB that were not given back, and saved 0.2 s for 100,000 files."""


@dataclass(slots=True)
class Arrivals:
    """The new files of one walk; owned by the walk.

    A file that has lain still is looked into while there is time for that: a library of the usual
    size is known with the first walk. Of a hundred thousand files most are only noted, which is a
    hundred times as fast, and none of them counts as whole before somebody has looked.
    """

    settle: SimpleQueue[Noticed | Stop]
    """What has not come to rest, for the settle thread."""
    settle_seconds: float
    look_into: Callable[[Path], Sequence[Event]]
    store: Callable[[Sequence[Event]], None]
    note: Callable[[Sequence[tuple[Path, str, Stamp]]], None]
    noted: int = 0
    """How many have to be looked into later."""
    untold: int = 0
    """How many lie there for so long that a notification should have told of them."""
    _began: float | None = None
    _found: list[Event] = field(default_factory=list)
    _seen: list[tuple[Path, str, Stamp]] = field(default_factory=list)

    def take(self, directory: Path, new: Sequence[tuple[str, Stamp]]) -> None:
        for name, stamp in new:
            if not lies_still(stamp, self.settle_seconds):
                self.settle.put(Noticed(directory / name, Notice.CHANGED, met=True))
            elif self._has_time():
                self._look(directory / name, stamp)
            else:
                self._seen.append((directory, name, stamp))
                self.noted += 1
                self.untold += lies_still(stamp, TOLD_WITHIN_SECONDS)
        if len(self._found) >= STORED_AT_ONCE or len(self._seen) >= NOTED_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Store what was found so far."""
        found, self._found = self._found, []
        seen, self._seen = self._seen, []
        self.store(found)
        self.note(seen)

    def _has_time(self) -> bool:
        now = time.monotonic()
        if self._began is None:
            self._began = now
        return now - self._began < LOOK_SECONDS

    def _look(self, path: Path, stamp: Stamp) -> None:
        if may_be_written(path, stamp):
            self.settle.put(Noticed(path, Notice.CHANGED, met=True))
            return
        found = self.look_into(path)
        if found:
            self._found += found
            self.untold += lies_still(stamp, TOLD_WITHIN_SECONDS)


def may_be_written(path: Path, stamp: Stamp) -> bool:
    """Whether somebody writes to the file, or nobody can tell and it was touched just now."""
    written = being_written(path)
    return bool(written) or (written is None and not lies_still(stamp, NOBODY_TELLS_SECONDS))


def lies_still(stamp: Stamp, seconds: float) -> bool:
    """Whether the file was not touched for so long; a time in the future proves nothing.

    Whoever writes to a file cannot set the time of its last change, so that one decides where the
    other lies in the future.
    """
    now = time.time_ns()
    changed = stamp.ctime_ns if stamp.mtime_ns > now else max(stamp.mtime_ns, stamp.ctime_ns)
    return now - changed > seconds * 1e9
