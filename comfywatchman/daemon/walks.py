"""One walk over one tree, and what becomes of what it finds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

import structlog

from comfywatchman.daemon.arrivals import Arrivals
from comfywatchman.daemon.sidecars import Sidecars
from comfywatchman.daemon.watching import POLL, Stop, SweepRequest
from comfywatchman.disk.errors import reading_failed
from comfywatchman.disk.walk import Avoid
from comfywatchman.domain.errors import DiskFailed, DiskFull, Trouble, WatchmanError
from comfywatchman.domain.files import Folders, Stamp
from comfywatchman.domain.messages import ErrorMet, Event, ModelMoved
from comfywatchman.pipeline.desk import Desk
from comfywatchman.pipeline.leftovers import remove_leftovers
from comfywatchman.pipeline.moving import moved, under_known_names
from comfywatchman.pipeline.reach import Reach
from comfywatchman.pipeline.sweeping import Tree, TreeNews, found_model, sweep_tree
from comfywatchman.state import marks, models, volumes, workflows
from comfywatchman.state.lookups import Lookups
from comfywatchman.watch.notice import Notice, Noticed

if TYPE_CHECKING:
    from comfywatchman.state.keeper import Reader

Beat = Callable[[], None]

_MARKED_AT_ONCE = 500
"""Directories in one transaction: others wait for its end."""

_STOPS_SECONDS = 1.0


class Once:
    """Tells what is wrong with a path, once for each thing that can be."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._told: set[tuple[Path, str]] = set()

    def tell(self, path: Path, trouble: Trouble) -> None:
        if (path, trouble.code) not in self._told:
            self._told.add((path, trouble.code))
            self._desk.tell(ErrorMet(trouble, path))


@dataclass(frozen=True, slots=True)
class Walked:
    """What one walk came to."""

    news: TreeNews
    noted: int
    """How many files are to be looked into later."""
    untold: int
    """How many files it found of which a notification should have told."""


@dataclass(slots=True)
class Walks:
    """Walks trees for the sweep thread, each walk in a thread that may be left behind.

    Everything here touches the tree's disk, or follows from what was seen there.
    """

    desk: Desk
    reader: Reader
    notices: SimpleQueue[Noticed | Stop]
    folders: Folders
    settle_seconds: float
    tell: Callable[[Path, Trouble], None]
    reach: Reach = field(default_factory=Reach)
    _sidecars: Sidecars = field(init=False)

    def __post_init__(self) -> None:
        self._sidecars = Sidecars(lambda path: self.notices.put(Noticed(path, Notice.CHANGED)))

    def walk(
        self, tree: Tree, request: SweepRequest, beat: Beat, avoid: Avoid | None = None
    ) -> Walked:
        """Walk what *request* wants of *tree* but what is to *avoid*; pass on what differs."""
        below = request.below
        arrivals = self._arrivals(beat)
        take_new = arrivals.take if tree.kind == "models" else None
        polled = request.reason == POLL and tree.kind == "models"
        news = sweep_tree(
            tree,
            self.reader,
            below,
            take_new=take_new,
            beat=beat,
            believe=request.believe,
            on_others=self._sidecars.take if polled else None,
            avoid=avoid,
        )
        if news.offline is None:
            if news.volumes and not news.found.held:
                self.desk.keeper.write(lambda c: volumes.note(c, news.volumes))
            self._renumber(tree, news)
            if tree.kind == "models":
                self._pass_on_models(news, arrivals, beat)
                if below is not None:
                    self._tell_other_names(news)
            else:
                self._pass_on_workflows(news, beat)
            for path, _ in news.found.removed():
                beat()
                self.notices.put(Noticed(path, Notice.REMOVED))
            if below is None:
                self._tidy(news.parts)
        arrivals.flush()
        return Walked(news, arrivals.noted, arrivals.untold)

    def mark(self, directories: Sequence[marks.Unmarked], stopping: threading.Event) -> None:
        """Mark *directories* by their rows, so that the next walk need not ask for these.

        Who stops waits a second for it: a start is when the marks count most.
        """
        began = time.monotonic()
        for first in range(0, len(directories), _MARKED_AT_ONCE):
            if stopping.is_set() and time.monotonic() - began > _STOPS_SECONDS:
                return
            some = directories[first : first + _MARKED_AT_ONCE]
            try:
                self.desk.keeper.write(partial(marks.note, directories=some))
            except (DiskFull, DiskFailed):
                return  # the next walk asks for the rows then, and tries again

    def look_into(self, path: Path) -> Sequence[Event]:
        """Look into a model file that has come to rest; one file never ends a walk."""
        try:
            return found_model(path)
        except WatchmanError as error:
            self.tell(path, error.trouble())
        except OSError as error:
            self.tell(path, reading_failed(error, path).trouble())
        return ()

    def store(self, events: Sequence[Event]) -> None:
        self.desk.store(events)
        if events:
            self.desk.ring("index")

    def _arrivals(self, beat: Beat) -> Arrivals:
        def look_into(path: Path) -> Sequence[Event]:
            beat()
            return self.look_into(path)

        return Arrivals(self.notices, self.settle_seconds, look_into, self.store, self._note)

    def _note(self, seen: Sequence[tuple[Path, str, Stamp]]) -> None:
        if seen:
            self.desk.keeper.write(lambda c: models.note_seen(c, seen))

    def _renumber(self, tree: Tree, news: TreeNews) -> None:
        again = list(news.found.renumbered())
        if again:
            rows = models if tree.kind == "models" else workflows
            self.desk.keeper.write(lambda c: rows.renumber(c, again))

    def _pass_on_models(self, news: TreeNews, arrivals: Arrivals, beat: Beat) -> None:
        added = list(news.found.added())
        events = self._with_their_directory(added, beat)
        came = {event.path for event in events}
        left = [each for each in (*added, *news.found.changed()) if each[0] not in came]
        events += under_known_names(self.reader, left, self.reach.look, beat)
        came = {event.path for event in events}
        for path, stamp in left:
            if path not in came:
                arrivals.take(path.parent, [(path.name, stamp)])
        for move in news.found.moved:
            beat()
            events.append(moved(self.reader, move.after, move.before, move.now))
        self.store(events)

    def _with_their_directory(
        self, added: Sequence[tuple[Path, Stamp]], beat: Beat
    ) -> list[ModelMoved]:
        """Return the files that came with a directory of theirs, which changes none of its stamps.

        The walk saw where they are, and another one, or none, sees that they are not where they
        were.
        """
        found: list[ModelMoved] = []
        with self.reader.connect() as connection:
            known = Lookups(connection)
            for path, stamp in added:
                for other, was, _ in known.names_of(stamp):
                    beat()
                    if was == stamp and other != path and self._is_gone(other):
                        found.append(moved(self.reader, path, other, stamp))
                        break
        return found

    def _is_gone(self, path: Path) -> bool:
        try:
            return self.reach.look(path) is None
        except WatchmanError:
            return False

    def _tell_other_names(self, news: TreeNews) -> None:
        """Have the names looked at that what was written to has elsewhere."""
        changed = dict(news.found.changed())
        if not changed:
            return
        with self.reader.connect() as connection:
            known = Lookups(connection)
            others = {
                other
                for stamp in set(changed.values())
                for other, was, _ in known.names_of(stamp)
                if was != stamp and other not in changed
            }
        for path in sorted(others):
            self.notices.put(Noticed(path, Notice.CHANGED, met=True))

    def _pass_on_workflows(self, news: TreeNews, beat: Beat) -> None:
        for files in (news.found.added(), news.found.changed()):
            for path, _ in files:
                beat()
                self.notices.put(Noticed(path, Notice.CHANGED))
        for move in news.found.moved:
            self.notices.put(Noticed(move.before, Notice.REMOVED))
            self.notices.put(Noticed(move.after, Notice.CHANGED))

    def _tidy(self, parts: Sequence[Path]) -> None:
        """Remove what interrupted downloads left for good."""
        for path in remove_leftovers(parts, self.folders, self.reader):
            structlog.get_logger("sweep").info("part.removed", path=path)
