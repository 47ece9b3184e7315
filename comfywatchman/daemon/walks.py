"""One walk over one tree, and what becomes of what it finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

import structlog

from comfywatchman.daemon.arrivals import Arrivals
from comfywatchman.daemon.watching import Stop, SweepRequest
from comfywatchman.disk.errors import reading_failed
from comfywatchman.domain.errors import Trouble, WatchmanError
from comfywatchman.domain.files import Folders, Stamp
from comfywatchman.domain.messages import ErrorMet, Event
from comfywatchman.pipeline.desk import Desk
from comfywatchman.pipeline.leftovers import remove_leftovers
from comfywatchman.pipeline.moving import moved
from comfywatchman.pipeline.sweeping import Tree, TreeNews, found_model, sweep_tree
from comfywatchman.state import models, volumes, workflows
from comfywatchman.watch.notice import Notice, Noticed

if TYPE_CHECKING:
    from comfywatchman.state.keeper import Reader

Beat = Callable[[], None]


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

    def walk(self, tree: Tree, request: SweepRequest, beat: Beat) -> Walked:
        """Walk what *request* wants of *tree*, and pass on what differs."""
        below = request.below
        arrivals = self._arrivals(beat)
        take_new = arrivals.take if tree.kind == "models" else None
        news = sweep_tree(
            tree, self.reader, below, take_new=take_new, beat=beat, believe=request.believe
        )
        if news.offline is None:
            if news.volumes and not news.found.held:
                self.desk.keeper.write(lambda c: volumes.note(c, news.volumes))
            self._renumber(tree, news)
            if tree.kind == "models":
                self._pass_on_models(news, arrivals, beat)
            else:
                self._pass_on_workflows(news, beat)
            for path, _ in news.found.removed():
                beat()
                self.notices.put(Noticed(path, Notice.REMOVED))
            if below is None:
                self._tidy(news.parts)
        arrivals.flush()
        return Walked(news, arrivals.noted, arrivals.untold)

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
        for files in (news.found.added(), news.found.changed()):
            for path, stamp in files:
                arrivals.take(path.parent, [(path.name, stamp)])
        events: list[Event] = []
        for move in news.found.moved:
            beat()
            events.append(moved(self.reader, move.after, move.before, move.now))
        self.store(events)

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
