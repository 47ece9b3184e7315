"""The sweep thread: walks what is watched, and passes on what no notification told."""

from __future__ import annotations

import stat
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from comfywatchman.daemon.around import Around
from comfywatchman.daemon.failures import Failures
from comfywatchman.daemon.looking import Looking
from comfywatchman.daemon.tally import Tally
from comfywatchman.daemon.walks import Once, Walks
from comfywatchman.daemon.watching import FAILURE, TIMER, Check, Stop, SweepRequest
from comfywatchman.disk.answering import Silent
from comfywatchman.disk.anything import any_file
from comfywatchman.disk.places import told
from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.files import Folders
from comfywatchman.domain.messages import (
    RootOffline,
    RootOnline,
    SweepFinished,
    SweepStarted,
    WatchDegraded,
)
from comfywatchman.pipeline.desk import Desk
from comfywatchman.pipeline.reach import Reach
from comfywatchman.pipeline.sweeping import Tree, TreeNews
from comfywatchman.state import models
from comfywatchman.state.marks import Unmarked
from comfywatchman.watch.notice import Noticed, RootChange, RootState

if TYPE_CHECKING:
    from comfywatchman.state.keeper import Reader
    from comfywatchman.watch.watcher import Watcher

_MOST_ODD = 20
"""Names of models that are no files, told in the log of one walk; ``inventory sweep`` tells all."""

_NOT_THERE = Trouble("root-offline", "A watched directory is not there.", "Connect its drive.")


@dataclass(slots=True)
class Sweeps:
    """Owned by the sweep thread; others put requests into *inbox*.

    The walks run in threads of their own, one at a time, so that a tree whose disk does not answer
    is left behind and the others are walked.
    """

    inbox: SimpleQueue[SweepRequest | Check | Stop]
    desk: Desk
    reader: Reader
    trees: Sequence[Tree]
    watcher: Watcher | None
    around: Around
    walks: Walks
    looking: Looking
    once: Once
    reach: Reach
    tally: Tally
    on_swept: Callable[[Tree], None] = lambda _tree: None
    """Called after each whole tree that was there."""
    directories: dict[Path, int] = field(default_factory=dict)
    """How many there are at and below each root, as it was last walked to the end."""
    first_done: threading.Event = field(default_factory=threading.Event)
    stopping: threading.Event = field(default_factory=threading.Event)
    heartbeat: float = field(default_factory=time.time)
    _failed: list[SweepRequest] = field(default_factory=list)
    _failures: Failures = field(default_factory=lambda: Failures("sweep"))
    pending: Callable[[], int] = lambda: 0
    """How many notices wait, or have not come to rest."""
    _lost: int = 0
    _signatures: dict[Path, tuple[int, ...] | None] = field(default_factory=dict)
    """What lay in the place of what is offline when it was last walked."""
    _emptied: frozenset[Path] = frozenset()
    """Which of these were full and hold nothing now."""
    _uncovered: dict[Path, int] = field(default_factory=dict)
    _on_first_done: Callable[[], None] = lambda: None

    @classmethod
    def build(
        cls,
        *,
        inbox: SimpleQueue[SweepRequest | Check | Stop],
        notices: SimpleQueue[Noticed | Stop],
        desk: Desk,
        reader: Reader,
        trees: Sequence[Tree],
        watcher: Watcher | None,
        folders: Folders,
        settle_seconds: float,
        tally: Tally,
        reach: Reach,
    ) -> Sweeps:
        once = Once(desk)
        walks = Walks(desk, reader, notices, folders, settle_seconds, once.tell, reach)
        looking = Looking(
            reader, reach, notices, settle_seconds, walks.look_into, walks.store, once.tell
        )
        around = Around(reach, walks)
        return cls(inbox, desk, reader, trees, watcher, around, walks, looking, once, reach, tally)

    def run(self) -> None:
        while True:
            self.heartbeat = time.time()
            request = self._next()
            if request is None:
                self._attempt(self.looking.step)
                continue
            wanted = self._with_waiting(request)
            if wanted is None:
                return
            for one in wanted:
                self._carry_out(one)

    def _next(self) -> _Request | None:
        """Return what is asked for, or ``None`` where there are files to look into meanwhile."""
        try:
            return self.inbox.get(block=not self.looking.busy)
        except Empty:
            return None

    def _attempt(self, step: Callable[[], None]) -> None:
        """Do *step*; what fails is told, and tried again with the next sweep."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 - the thread outlives a full disk, or a bug
            self._failures.met(error)
            self.looking.rest()

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
        unmarked: list[Unmarked] = []
        files = {"workflows": 0, "models": 0}
        listened = whole and self._listened(request.reason)
        for tree in self._trees(request):
            if self.stopping.is_set():
                return
            news = self._walk(tree, request, listened=listened)
            if news is not None:
                files[tree.kind] += news.files
                counts.update(dict(news.counts()))
                unmarked += news.unmarked
        if whole:
            self.first_done.set()
            self._on_first_done()
            drift = () if request.reason == "start" else tuple(counts.items())
            duration = time.monotonic() - started
            self.desk.tell(
                SweepFinished(request.reason, duration, files["workflows"], files["models"], drift)
            )
            self.looking.begin()
        self.walks.mark(unmarked, self.stopping)

    def _walk(self, tree: Tree, request: SweepRequest, *, listened: bool) -> TreeNews | None:
        """Walk one tree; ``None`` where it is not there, or does not answer.

        *listened*: whether all that happened since the last walk should have been told.
        """
        below = request.below
        try:
            walked = self.around.walk(tree, request)
        except Silent as silence:
            place = Path(silence.filename)
            self._went_offline(place, told(silence, place))
            return None
        news = walked.news
        if walked.noted:
            self.looking.begin()
        if news.offline is not None:
            if below is None or below == tree.root:
                self._went_offline(tree.root, news.offline)
            return None
        self._note_places(below or tree.root, news)
        self._watch(news, walked.untold if listened else 0)
        for path, trouble in news.troubles:
            if path not in self.reach.offline:
                self.once.tell(path, trouble)
        for path, trouble in news.odd[:_MOST_ODD]:
            self.once.tell(path, trouble)
        if below is None:
            self.directories[tree.root] = len(news.directories)
            self.on_swept(tree)
        return news

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
                    believe = request.believe or (below in asked and asked[below].believe)
                    asked[below] = replace(request, believe=believe)
        check = [Check(any(each.probe for each in checks))] if checks else []
        if None in asked:
            return [*check, asked[None]]
        walks = [
            request
            for below, request in asked.items()
            if below is not None and not any(parent in asked for parent in below.parents)
        ]
        return [*check, *walks]

    def _check(self, check: Check) -> None:
        """Find out what the kernel does not tell: a root replaced, a watch gone deaf."""
        if self.watcher is None:
            return
        for change in self.watcher.check_roots():
            self.tell_root(change)
        self.reach.doubtful = self.watcher.doubtful()
        self._look_at_offline()
        now = time.monotonic()
        if self.watcher.probe_failed(now):
            self.tally.count_watch_restart("probe")
            for change in self.watcher.restart():
                self.tell_root(change)
        elif check.probe and self.watcher.probe_answered():
            self.tally.probe_succeeded()
        self.watcher.probe(now, all_of_them=check.probe)

    def tell_root(self, change: RootChange) -> None:
        root = change.root.path
        match change.state:
            case RootState.OFFLINE:
                self._went_offline(root, change.trouble or _NOT_THERE)
            case RootState.DEGRADED:
                self.desk.tell(WatchDegraded(root, change.trouble or _NOT_THERE))
            case RootState.ONLINE if change.trouble is not None:
                self.desk.tell(WatchDegraded(root, change.trouble))
            case RootState.ONLINE:
                pass  # a directory lies there: the sweep that follows says whether it is ours

    def _trees(self, request: SweepRequest) -> list[Tree]:
        below = request.below
        if below is None:
            # Models first: a workflow that is read afterwards finds them in their rows.
            return sorted(self.trees, key=lambda tree: tree.kind)
        return [t for t in self.trees if t.root == below or t.root in below.parents]

    def _listened(self, reason: str) -> bool:
        """Whether no notification was lost, or waits, since everything was last walked."""
        if self.watcher is None:
            return False
        lost = self.watcher.overflows() + self.watcher.failures()
        quiet = lost == self._lost and self.pending() == 0
        self._lost = lost
        return quiet and reason == TIMER and self.first_done.is_set()

    def _watch(self, news: TreeNews, untold: int) -> None:
        """Watch what only a walk can find: directories behind links, and what the kernel missed."""
        if self.watcher is None:
            return
        if untold and not self._uncovered.get(news.tree.root):
            for change in self.watcher.missed(news.tree.root):
                self.tell_root(change)
        for alias, real in news.linked:
            self.watcher.add(alias, real)
        if news.linked:
            self.reach.doubtful = self.watcher.doubtful()
        lacking = self.watcher.uncovered(news.tree.root, news.directories)
        self._uncovered[news.tree.root] = lacking

    def when_first_done(self, call: Callable[[], None]) -> None:
        """Have *call* called after the first whole sweep; at once where it is done already."""
        self._on_first_done = call
        if self.first_done.is_set():
            call()

    def misses(self, root: Path) -> bool:
        """Whether *root* is gone that held something."""
        return root in self.reach.offline

    @property
    def uncovered(self) -> int:
        """How many directories the kernel should watch and does not."""
        return sum(self._uncovered.values())

    # -- what is offline

    def lacking(self) -> list[str]:
        """Say which directories are not there that should be: watched for workflows, or known."""
        workflows = {tree.root for tree in self.trees if tree.kind == "workflows"}
        offline = self.reach.offline
        return [
            f"{place}: {why.cause}"
            for place, why in offline.items()
            if place in workflows or (place not in self._emptied and self._held(place))
        ]

    def _note_places(self, walked: Path, news: TreeNews) -> None:
        """Tell what went offline and what came back, at and below the directory *walked*."""
        away = news.out_of_reach()
        elsewhere = {each for each in self._emptied if not each.is_relative_to(walked)}
        self._emptied = frozenset(elsewhere | news.emptied())
        for place in list(self.reach.offline):
            if place not in away and place.is_relative_to(walked):
                self._came_back(place)
        for place, trouble in away.items():
            if self._held(place):
                self._signatures[place] = self._signature(place)
                self._went_offline(place, trouble)

    def _look_at_offline(self) -> None:
        """Ask for a walk of what is offline, below a root, where something else lies by now."""
        roots = {tree.root for tree in self.trees}
        for place in self._emptied:
            if self._holds_a_file(place) or not self._held(place):
                self.inbox.put(SweepRequest("directory", place))
        for place in self.reach.offline.keys() - roots - self._emptied:
            now = self._signature(place)
            if now != self._signatures.get(place):
                below = place if now and now[-1] == stat.S_IFDIR else place.parent
                self.inbox.put(SweepRequest("directory", below))

    def _holds_a_file(self, place: Path) -> bool:
        tree = next((t for t in self.trees if place.is_relative_to(t.root)), None)
        try:
            return tree is not None and self.reach.at(place, lambda p: any_file(p, tree.wanted))
        except OSError:
            return False

    def _signature(self, place: Path) -> tuple[int, ...] | None:
        """Return what tells one directory from another that lies in its place."""
        try:
            seen = self.reach.at(place, Path.stat)
        except OSError:
            return None
        return seen.st_dev, seen.st_ino, seen.st_mtime_ns, stat.S_IFMT(seen.st_mode)

    def _went_offline(self, place: Path, trouble: Trouble) -> None:
        """Tell once, unless the root is one that need not exist and never held anything."""
        if place in self.reach.offline:
            return
        tree = next((tree for tree in self.trees if tree.root == place), None)
        if tree is not None and tree.optional and not self._held(place):
            return
        self.reach.offline = {**self.reach.offline, place: trouble}
        self.desk.store([RootOffline(place, trouble)])

    def _held(self, place: Path) -> bool:
        return self.reader.read(lambda c: models.any_row(c, place))

    def _came_back(self, place: Path) -> None:
        if place in self.reach.offline:
            left = {path: why for path, why in self.reach.offline.items() if path != place}
            self.reach.offline = left
            self._signatures.pop(place, None)
            self.desk.store([RootOnline(place)])


_Request = SweepRequest | Check | Stop


def _drained(inbox: SimpleQueue[_Request]) -> Iterator[_Request]:
    while True:
        try:
            yield inbox.get_nowait()
        except Empty:
            return
