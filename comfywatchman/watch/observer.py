"""The one door to watchdog: notifications from the kernel become values in a queue."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from pathlib import Path
from queue import SimpleQueue

from watchdog.events import (
    EVENT_TYPE_DELETED,
    EVENT_TYPE_MOVED,
    DirAttribEvent,
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileAttribEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

from comfywatchman.disk.walk import SKIPPED
from comfywatchman.watch.notice import EVERYWHERE, Notice, Noticed

MOST_WAITING = 50_000
"""Notices in the queue; of more, one that asks for a sweep takes the place."""

_STOP_SECONDS = 5.0

_WANTED: list[type[FileSystemEvent]] = [
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileAttribEvent,
    DirCreatedEvent,
    DirMovedEvent,
    DirDeletedEvent,
    DirAttribEvent,
]
"""Not opened and closed_no_write, which our own reading causes. The attrib events arrive only
because FileModifiedEvent is here too (watchdog 7.1.0 sets the kernel's mask from it)."""

_OF_OUR_OWN: list[type[FileSystemEvent]] = [FileModifiedEvent, DirAttribEvent]

_log = logging.getLogger(__name__)


class Trees:
    """The directory trees that are watched now. Owned by the watcher.

    What happens below them goes into *news*, under the paths that `know_as` was told.
    """

    def __init__(self, news: SimpleQueue[Noticed]) -> None:
        self._forward = _Forward(news)
        self._overhear = _Overhear(news)
        self._observer: BaseObserver | None = None
        self._watches: dict[Path, ObservedWatch] = {}
        self.own: Path | None = None
        """The directory of ours that is watched for a sign of life."""
        self.avoid: frozenset[Path] = frozenset()
        """What does not answer in the trees that are watched from now on."""

    @property
    def tops(self) -> set[Path]:
        return set(self._watches)

    @property
    def answers(self) -> SimpleQueue[str]:
        """The tops whose attributes changed, which is how a probe is answered."""
        return self._forward.answers

    @property
    def failures(self) -> int:
        """How many notifications our own handler failed to pass on."""
        return self._forward.failures

    @property
    def overflows(self) -> int:
        """How often the kernel threw notifications away."""
        return self._overhear.overflows

    def know_as(self, places: tuple[tuple[Path, Path], ...]) -> None:
        """Name the directories: where each really lies, and the path it is known by."""
        self._forward.places = tuple(
            (str(real).rstrip("/"), str(known_as)) for real, known_as in places
        )

    def listen(self) -> None:
        """Listen for lost notifications."""
        # Two threads of watchdog may watch a new directory twice: harmless, but said aloud.
        warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)
        self._overhear.begin()

    def watch(self, real: Path) -> None:
        """Watch *real* and all below it but what is to *avoid*; links in it are not followed.

        Raises:
            OSError: it cannot be watched. ENOSPC and EMFILE are the kernel's limits.
            RuntimeError: no thread can be started.
        """
        if self._observer is None:
            self._observer = _started()
        avoid_in(self._observer, self.avoid)
        self._watches[real] = self._observer.schedule(
            self._forward, str(real), recursive=True, event_filter=_WANTED
        )
        self._know_tops()

    def watch_own(self, directory: Path) -> None:
        """Watch an empty *directory* of ours for a change of its attributes, and nothing else.

        Raises:
            OSError, RuntimeError: as `watch` does.
        """
        if self._observer is None:
            self._observer = _started()
        self._observer.schedule(self._forward, str(directory), event_filter=_OF_OUR_OWN)
        self.own = directory
        self._know_tops()

    def unwatch(self, real: Path) -> None:
        """Stop watching the tree whose top is *real*, if there is one."""
        watch = self._watches.pop(real, None)
        self._know_tops()
        if watch is not None and self._observer is not None:
            self._observer.unschedule(watch)

    def bury(self) -> set[Path]:
        """Take away, and return, the tops whose thread has ended.

        It ends when the directory is deleted, and a new one at its path can have the same inode,
        so that looking at the directory is not enough.
        """
        if self._observer is None or not self._observer.is_alive():
            dead = self.tops
            self.clear()
            return dead
        alive = {emitter.watch.path for emitter in self._observer.emitters if emitter.is_alive()}
        if self.own is not None and str(self.own) not in alive:
            self.own = None
        dead = {real for real in self._watches if str(real) not in alive}
        for real in dead:
            self.unwatch(real)
        return dead

    def clear(self) -> None:
        """Stop watching everything; `watch` begins anew."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(_STOP_SECONDS)
        self._observer = None
        self._watches.clear()
        self.own = None
        self._know_tops()

    def _know_tops(self) -> None:
        every = self._watches.keys() | ({self.own} if self.own is not None else set())
        self._forward.tops = frozenset(map(str, every))

    def close(self) -> None:
        """Stop watching and listening; the last notices may still be in the queue."""
        self.clear()
        self._overhear.end()


class _Forward(FileSystemEventHandler):
    """Runs on watchdog's thread, so it does nothing but put.

    An exception here would end that thread for good, and with it all notifications.
    """

    def __init__(self, news: SimpleQueue[Noticed]) -> None:
        self.places: tuple[tuple[str, str], ...] = ()
        """Real directory and the path it is known by; replaced as a whole by the owner."""
        self.tops: frozenset[str] = frozenset()
        self.answers: SimpleQueue[str] = SimpleQueue()
        self.failures = 0
        self._news = news
        self._flooded = False

    def dispatch(self, event: FileSystemEvent) -> None:
        try:
            self._tell(event)
        except Exception:  # noqa: BLE001 - whatever it is, the thread must live; it is counted
            self.failures += 1
            _log.warning("watch_handler_failed", exc_info=True)

    def _tell(self, event: FileSystemEvent) -> None:
        source, target = os.fsdecode(event.src_path), os.fsdecode(event.dest_path)
        leaves = event.event_type in {EVENT_TYPE_DELETED, EVENT_TYPE_MOVED}
        if not event.is_directory:
            self._put(source, Notice.REMOVED if leaves else Notice.CHANGED)
            if target:
                self._put(target, Notice.MOVED_HERE)
        elif isinstance(event, DirAttribEvent) and source in self.tops:
            self.answers.put(source)
        else:
            self._put(source, Notice.DIRECTORY_CHANGED, leaves=leaves)
            if target:
                self._put(target, Notice.DIRECTORY_CHANGED)

    def _put(self, path: str, kind: Notice, *, leaves: bool = False) -> None:
        for real, known_as in self.places:
            if path == real:
                self._send(known_as, Notice.ROOT_GONE if leaves else kind)
            elif path.startswith(real) and path[len(real)] == "/":
                below = path[len(real) + 1 :]
                if not _ours(below):
                    self._send(f"{known_as}/{below}", kind)

    def _send(self, path: str, kind: Notice) -> None:
        waiting = self._news.qsize()
        if self._flooded and waiting > MOST_WAITING // 2:
            return
        self._flooded = waiting >= MOST_WAITING
        if self._flooded:
            self._news.put(Noticed(EVERYWHERE, Notice.OVERFLOW))
        else:
            self._news.put(Noticed(Path(path), kind))


class _Overhear(logging.Handler):
    """watchdog 7.1.0 tells a queue overflow to its log and to nobody else."""

    names = ("watchdog.observers.inotify_c", "watchdog.observers.inotify")

    def __init__(self, news: SimpleQueue[Noticed]) -> None:
        super().__init__(logging.WARNING)
        self.overflows = 0
        self._news = news

    def emit(self, record: logging.LogRecord) -> None:
        # The second logger tells the same overflow once for each root: a sweep more, not a count.
        if "overflow" in str(record.msg) or "rebuild" in str(record.msg):
            self.overflows += record.name == self.names[0]
            self._news.put(Noticed(EVERYWHERE, Notice.OVERFLOW))

    def begin(self) -> None:
        for logger in map(logging.getLogger, self.names):
            logger.addHandler(self)
            logger.addFilter(_unless_stopping)
            if logger.getEffectiveLevel() > logging.WARNING:
                logger.setLevel(logging.WARNING)

    def end(self) -> None:
        for logger in map(logging.getLogger, self.names):
            logger.removeHandler(self)
            logger.removeFilter(_unless_stopping)


def _started() -> BaseObserver:
    if sys.platform == "linux":
        from comfywatchman.watch.pairing import PairingObserver

        observer: BaseObserver = PairingObserver()
    else:
        observer = Observer()
    observer.start()
    return observer


def avoid_in(observer: BaseObserver, directories: frozenset[Path]) -> None:
    """Have trees that *observer* watches from now on begin without these directories."""
    if sys.platform == "linux":
        from comfywatchman.watch.pairing import PairingObserver

        if isinstance(observer, PairingObserver):
            observer.avoid = frozenset(map(os.fsencode, directories))


def _ours(below: str) -> bool:
    """Say whether a path below a root is one of our part files, or where nobody looks."""
    if "." not in below:
        return False
    *directories, name = below.split("/")
    if name.startswith(".") and name.endswith(".part"):
        return True
    return name in SKIPPED or any(directory in SKIPPED for directory in directories)


def _unless_stopping(record: logging.LogRecord) -> bool:
    """Drop what watchdog 7.1.0 logs as an error at each clean stop."""
    return "called when the thread is inactive" not in str(record.msg)
