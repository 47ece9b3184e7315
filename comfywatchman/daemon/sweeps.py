"""The sweep thread: walks what is watched, and passes on what no notification told."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import structlog

from comfywatchman.daemon.failures import Failures
from comfywatchman.daemon.tally import Tally
from comfywatchman.daemon.watching import FAILURE, Check, Stop, SweepRequest
from comfywatchman.disk.errors import reading_failed
from comfywatchman.disk.files import being_written
from comfywatchman.domain.errors import Trouble, WatchmanError
from comfywatchman.domain.files import Folders, Stamp
from comfywatchman.domain.messages import (
    ErrorMet,
    Event,
    ModelMoved,
    RootOffline,
    RootOnline,
    SweepFinished,
    SweepStarted,
    WatchDegraded,
)
from comfywatchman.pipeline.desk import Desk
from comfywatchman.pipeline.leftovers import remove_leftovers
from comfywatchman.pipeline.sweeping import Tree, TreeNews, found_model, sweep_tree
from comfywatchman.state import models
from comfywatchman.watch.notice import Notice, Noticed, RootChange, RootState

if TYPE_CHECKING:
    from comfywatchman.state.keeper import Reader
    from comfywatchman.watch.watcher import Watcher

BATCH = 200


@dataclass(slots=True)
class Sweeps:
    """Owned by the sweep thread; others put requests into *inbox*."""

    inbox: SimpleQueue[SweepRequest | Check | Stop]
    notices: SimpleQueue[Noticed | Stop]
    desk: Desk
    reader: Reader
    trees: Sequence[Tree]
    watcher: Watcher | None
    folders: Folders
    settle_seconds: float
    tally: Tally
    on_swept: Callable[[Tree], None] = lambda _tree: None
    """Called after each whole tree that was there."""
    first_done: threading.Event = field(default_factory=threading.Event)
    stopping: threading.Event = field(default_factory=threading.Event)
    heartbeat: float = field(default_factory=time.time)
    _failed: list[SweepRequest] = field(default_factory=list)
    _failures: Failures = field(default_factory=lambda: Failures("sweep"))
    _offline: dict[Path, Trouble] = field(default_factory=dict)
    _uncovered: dict[Path, int] = field(default_factory=dict)
    _on_first_done: Callable[[], None] = lambda: None
    _told: set[tuple[Path, str]] = field(default_factory=set)

    def run(self) -> None:
        while True:
            request = self.inbox.get()
            self.heartbeat = time.time()
            wanted = self._with_waiting(request)
            if wanted is None:
                return
            for one in wanted:
                self._carry_out(one)

    def _carry_out(self, request: SweepRequest | Check) -> None:
        """Do what is asked; what fails is told, and tried again with the next check."""
        try:
            if isinstance(request, SweepRequest):
                self.sweep(request)
                return
            self._check(request)
            while self._failed:
                self.sweep(self._failed[0])
                self._failed.pop(0)
            self._failures.passed()
        except Exception as error:  # noqa: BLE001 - the thread outlives a full disk, or a bug
            if isinstance(request, SweepRequest):
                self._again_later(request)
                self.tally.count_failed_sweep(request.reason)
            self._failures.met(error)

    def _again_later(self, request: SweepRequest) -> None:
        if request not in self._failed:
            self._failed.append(request)

    def sweep(self, request: SweepRequest) -> None:
        """Walk what *request* asks for and pass on what differs from the rows."""
        started = time.monotonic()
        whole = request.below is None
        if whole:
            self.desk.tell(SweepStarted(request.reason))
        counts: Counter[str] = Counter()
        files = {"workflows": 0, "models": 0}
        for tree in self._trees(request):
            if self.stopping.is_set():
                return
            news = sweep_tree(tree, self.reader, request.below)
            self._pass_on(news, whole=whole)
            files[tree.kind] += news.files
            counts.update(dict(news.found.counts()))
        if whole:
            self.first_done.set()
            self._on_first_done()
            self._tidy()
            drift = () if request.reason == "start" else tuple(counts.items())
            duration = time.monotonic() - started
            self.desk.tell(
                SweepFinished(request.reason, duration, files["workflows"], files["models"], drift)
            )

    def _tidy(self) -> None:
        """Remove what interrupted downloads left for good."""
        roots = [tree.root for tree in self.trees if tree.kind == "models"]
        for path in remove_leftovers(roots, self.folders, self.reader):
            structlog.get_logger("sweep").info("part.removed", path=path)

    def _with_waiting(self, first: _Request) -> list[SweepRequest | Check] | None:
        """Fold what was asked meanwhile into as few walks as will do; ``None`` to stop."""
        checks: list[Check] = []
        asked: dict[Path | None, SweepRequest] = {}
        for request in (first, *_drained(self.inbox)):
            match request:
                case Stop():
                    return None
                case Check():
                    checks.append(request)
                case SweepRequest(reason=reason) if reason == FAILURE:
                    self._again_later(request)
                case SweepRequest(below=below):
                    asked[below] = request
        if None in asked:
            return [*checks[-1:], asked[None]]
        walks = [
            request
            for below, request in asked.items()
            if below is not None and not any(parent in asked for parent in below.parents)
        ]
        return [*checks[-1:], *walks]

    def _check(self, check: Check) -> None:
        """Find out what the kernel does not tell: a root replaced, a watch gone deaf."""
        if self.watcher is None:
            return
        for change in self.watcher.check_roots():
            self.tell_root(change)
        if check.probe:
            now = time.monotonic()
            if self.watcher.probe_failed(now):
                self.tally.count_watch_restart("probe")
                self.watcher.restart()
            elif self.watcher.probe_answered():
                self.tally.probe_succeeded()
            self.watcher.probe(now)

    def tell_root(self, change: RootChange) -> None:
        match change.state:
            case RootState.OFFLINE:
                self._went_offline(change.root.path, change.trouble or _GONE)
            case RootState.DEGRADED:
                self.desk.tell(WatchDegraded(change.root.path, change.trouble or _GONE))
            case RootState.ONLINE:
                self._came_back(change.root.path)

    def _trees(self, request: SweepRequest) -> list[Tree]:
        below = request.below
        if below is None:
            # Models first: a workflow that is read afterwards finds them in their rows.
            return sorted(self.trees, key=lambda tree: tree.kind)
        return [t for t in self.trees if t.root == below or t.root in below.parents]

    def _pass_on(self, news: TreeNews, *, whole: bool) -> None:
        if whole and not self._note_root(news):
            return
        resting: list[Event] = []
        for path, stamp in chain(news.found.added(), news.found.changed()):
            if news.tree.kind == "models" and self._rests(path, stamp):
                resting += self._found(path)
            else:
                self.notices.put(Noticed(path, Notice.CHANGED))
            if len(resting) >= BATCH:
                self._store(resting)
                resting = []
        for moved in news.found.moved:
            if news.tree.kind == "models":
                resting.append(ModelMoved(moved.after, moved.before, moved.now))
            else:
                self.notices.put(Noticed(moved.before, Notice.REMOVED))
                self.notices.put(Noticed(moved.after, Notice.CHANGED))
        self._store(resting)
        for path, _ in news.found.removed():
            self.notices.put(Noticed(path, Notice.REMOVED))
        self._watch(news)
        for path, trouble in news.troubles:
            self._tell_once(path, trouble)
        if whole:
            self.on_swept(news.tree)

    def _store(self, events: Sequence[Event]) -> None:
        self.desk.store(events)
        if events:
            self.desk.ring("index")

    def _found(self, path: Path) -> list[Event]:
        try:
            return found_model(path)
        except WatchmanError as error:
            self._tell_once(path, error.trouble())
            return []
        except OSError as error:
            # One file must not end the walk over all the others.
            self._tell_once(path, reading_failed(error, path).trouble())
            return []

    def _rests(self, path: Path, stamp: Stamp) -> bool:
        """Whether the file lies there so long, with nobody writing, that it need not settle."""
        age = time.time() - max(stamp.mtime_ns, stamp.ctime_ns) / 1e9
        return age > self.settle_seconds and being_written(path) is not True

    def _watch(self, news: TreeNews) -> None:
        """Watch what only a walk can find: directories behind links, and what the kernel missed."""
        if self.watcher is None:
            return
        for alias, real in news.linked:
            self.watcher.add(alias, real)
        lacking = self.watcher.uncovered(news.tree.root, news.directories)
        self._uncovered[news.tree.root] = lacking

    def when_first_done(self, call: Callable[[], None]) -> None:
        """Have *call* called after the first whole sweep; at once where it is done already."""
        self._on_first_done = call
        if self.first_done.is_set():
            call()

    def misses(self, root: Path) -> bool:
        """Whether *root* is gone that held something."""
        return root in self._offline

    @property
    def uncovered(self) -> int:
        """How many directories the kernel should watch and does not."""
        return sum(self._uncovered.values())

    def _note_root(self, news: TreeNews) -> bool:
        """Tell once that a root went or came back; return whether it is there."""
        if news.offline is not None:
            self._went_offline(news.tree.root, news.offline)
            return False
        self._came_back(news.tree.root)
        return True

    def _went_offline(self, root: Path, trouble: Trouble) -> None:
        """Tell once, unless the root is one that need not exist and never held anything."""
        if root in self._offline:
            return
        tree = next((tree for tree in self.trees if tree.root == root), None)
        if tree is not None and tree.optional:
            known = self.reader.read(lambda c: models.below(c, root))
            if not known:
                return
        self._offline[root] = trouble
        self.desk.tell(RootOffline(root, trouble))

    def _came_back(self, root: Path) -> None:
        if self._offline.pop(root, None) is not None:
            self.desk.tell(RootOnline(root))

    def _tell_once(self, path: Path, trouble: Trouble) -> None:
        if (path, trouble.code) not in self._told:
            self._told.add((path, trouble.code))
            self.desk.tell(ErrorMet(trouble, path))


_Request = SweepRequest | Check | Stop

_GONE = Trouble("root-offline", "A watched directory is not there.", "Connect its drive.")


def _drained(inbox: SimpleQueue[_Request]) -> Iterator[_Request]:
    while True:
        try:
            yield inbox.get_nowait()
        except Empty:
            return
