"""Looking into the model files that are known by their names only."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from comfywatchman.daemon.arrivals import lies_still, may_be_written
from comfywatchman.daemon.watching import Stop
from comfywatchman.disk.answering import LeftBehind, Silent
from comfywatchman.disk.errors import reading_failed
from comfywatchman.disk.files import look
from comfywatchman.domain.errors import Trouble, WatchmanError
from comfywatchman.domain.messages import Event, ModelFound
from comfywatchman.pipeline.reach import Reach
from comfywatchman.state import unlooked
from comfywatchman.state.unlooked import Unlooked
from comfywatchman.watch.notice import Notice, Noticed

if TYPE_CHECKING:
    from comfywatchman.state.keeper import Reader

AT_ONCE = 500
WANTED_EVERY_SECONDS = 1.0
"""How often it is asked anew what a workflow waits for."""


@dataclass(slots=True)
class Looking:
    """Goes through the rows of files that nobody has seen whole; owned by the sweep thread.

    Those that a workflow names come first, the others in the order in which they were noted, which
    is that of the disk's directories. A file that is still arriving is left for the next time.
    """

    reader: Reader
    reach: Reach
    settle: SimpleQueue[Noticed | Stop]
    settle_seconds: float
    look_into: Callable[[Path], Sequence[Event]]
    store: Callable[[Sequence[Event]], None]
    tell: Callable[[Path, Trouble], None]
    _after: int | None = None
    """The row behind which it goes on; ``None`` while there is nothing to do."""
    _asked: float = 0.0
    _first: set[Path] = field(default_factory=set)
    """What was looked at out of turn since `begin`."""

    def begin(self) -> None:
        """Look at all of them, again."""
        self._after = 0
        self._first.clear()
        self._asked = 0.0

    def rest(self) -> None:
        """Do nothing more until the next `begin`."""
        self._after = None

    @property
    def busy(self) -> bool:
        return self._after is not None

    def step(self) -> None:
        """Look into some; `busy` says whether there is more."""
        rows = self._wanted() or self._in_turn()
        self.store([event for row in rows for event in self._look(row)])

    def _wanted(self) -> list[Unlooked]:
        now = time.monotonic()
        if now - self._asked < WANTED_EVERY_SECONDS:
            return []
        self._asked = now
        rows = self.reader.read(lambda c: unlooked.wanted(c, AT_ONCE))
        found = [row for row in rows if row.path not in self._first]
        self._first.update(row.path for row in found)
        return found

    def _in_turn(self) -> list[Unlooked]:
        after = self._after or 0
        rows = self.reader.read(lambda c: unlooked.after(c, after, AT_ONCE))
        self._after = rows[-1].row if rows else None
        return [row for row in rows if row.path not in self._first]

    def _look(self, row: Unlooked) -> Sequence[Event]:
        try:
            return self.reach.at(row.path, lambda path: self._found(path, row))
        except (Silent, LeftBehind):
            return ()
        except WatchmanError as error:
            self.tell(row.path, error.trouble())
        except OSError as error:
            self.tell(row.path, reading_failed(error, row.path).trouble())
        return ()

    def _found(self, path: Path, row: Unlooked) -> Sequence[Event]:
        stamp = look(path)
        if stamp is None:
            return ()  # gone, or out of reach: that is for a sweep to say
        still = stamp == row.stamp and lies_still(stamp, self.settle_seconds)
        if not still or may_be_written(path, stamp):
            self.settle.put(Noticed(path, Notice.CHANGED))
            return ()
        found = self.look_into(path)
        return () if len(found) == 1 and _arrives(found[0]) else found


def _arrives(event: Event) -> bool:
    return isinstance(event, ModelFound) and not event.whole and event.trouble is None
