"""The settle thread: notices from the kernel and from sweeps become settled files."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from comfywatchman.daemon.failures import Failures
from comfywatchman.daemon.tally import Tally
from comfywatchman.disk.answering import Silent
from comfywatchman.disk.errors import reading_failed
from comfywatchman.domain.errors import WatchmanError
from comfywatchman.domain.files import Stamp
from comfywatchman.domain.messages import (
    ErrorMet,
    Event,
    ModelFound,
    ModelRemoved,
    WatchOverflowed,
    WorkflowRemoved,
    WorkflowSettled,
)
from comfywatchman.inventory import fetched_beside
from comfywatchman.inventory.claims import spoken_of
from comfywatchman.pipeline.desk import Desk
from comfywatchman.pipeline.moving import moved
from comfywatchman.pipeline.namesakes import other_names
from comfywatchman.pipeline.reach import Reach
from comfywatchman.pipeline.sweeping import found_model, is_workflow_file
from comfywatchman.state import hashes
from comfywatchman.state.lookups import Lookups
from comfywatchman.watch.glimpse import glimpse
from comfywatchman.watch.notice import Notice, Noticed
from comfywatchman.watch.settle import Rule, Settling

if TYPE_CHECKING:
    from comfywatchman.state.hashes import Known
    from comfywatchman.state.keeper import Reader

NOBODY_TELLS_SECONDS = 5.0
"""How long a model must rest at least where nobody can tell whether it is still being written."""

LEAVING_SECONDS = 3.0
"""How long a removed model keeps its row: a rename is a removal and an arrival."""

LOST_SECONDS = 600.0
"""How long after notices were lost no rename counts as heard; a sweep follows meanwhile."""

MOST_AT_ONCE = 2000
"""Notices taken in before the settled ones are looked at again."""

FAILURE = "failure"
"""Why a sweep is asked for that waits for the next check: what failed just now fails again."""

TIMER = "timer"
"""Why everything is walked from time to time."""
POLL = "poll"
"""Why a directory is walked in which no notification tells anything."""


@dataclass(frozen=True, slots=True)
class SweepRequest:
    """Asks the sweep thread to walk everything, or what lies below one directory."""

    reason: str
    below: Path | None = None
    believe: bool = False
    """What is missing was removed, also where its drive may only not be there: a person says so."""


@dataclass(frozen=True, slots=True)
class Check:
    """Asks the sweep thread whether what is watched is still there and still heard."""

    probe: bool = False


class Stop:
    """Put into an inbox to end its thread."""


@dataclass(slots=True)
class Watching:
    """Decides what has come to rest; owned by the settle thread."""

    inbox: SimpleQueue[Noticed | Stop]
    sweeps: SimpleQueue[SweepRequest | Check | Stop]
    desk: Desk
    reader: Reader
    workflow_dirs: Sequence[Path]
    model_roots: Sequence[Path]
    settling: Settling
    is_model: Callable[[str], bool]
    tally: Tally
    reach: Reach = field(default_factory=Reach)
    heartbeat: float = field(default_factory=time.time)
    on_sidecar: Callable[[Path], None] = lambda _path: None
    """Told of each file that another program wrote beside a model, to say something of it."""
    compared: Callable[[], bool] = lambda: True
    """Whether all files were compared with their rows since notices are heard."""
    _leaving: dict[Path, float] = field(default_factory=dict)
    _touched: set[Path] = field(default_factory=set)
    """Those that leave of which something was told just before: they may have been written to."""
    _renamed: dict[Path, Path] = field(default_factory=dict)
    """Where files were that were renamed and have not come to rest; nothing else was told of
    them."""
    _just_removed: Path | None = None
    """Where the file had its row of whose removal the last notice told, if it was not written to
    since: a rename tells of the removal and of the arrival in a row."""
    _by_way_of: dict[Path, Path] = field(default_factory=dict)
    """Names of no models that renamed files have now, and where these have their rows."""
    _displaced: dict[tuple[int, int], tuple[float, Known]] = field(default_factory=dict)
    """What was known of files whose name another file has now, by device and inode, and until
    when it is kept: names may be exchanged."""
    _lost_at: float = field(default=float("-inf"))
    """When notices were lost, on the monotonic clock."""
    _failures: Failures = field(default_factory=lambda: Failures("settle"))
    _in_workflows: tuple[str, ...] = field(init=False)
    _in_models: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self._in_workflows = _prefixes(self.workflow_dirs)
        self._in_models = _prefixes(self.model_roots)

    def run(self) -> None:
        while True:
            self.heartbeat = time.time()
            for notice, again in said_again(self._taken()):
                if isinstance(notice, Stop):
                    return
                if again:
                    self._just_removed = None
                else:
                    self._attempt(partial(self._take, notice))
            self._attempt(self._hand_over)

    def _taken(self) -> list[Noticed | Stop]:
        """Return what waits, or comes until there is something to look at."""
        found: list[Noticed | Stop] = []
        with suppress(Empty):
            found.append(self.inbox.get(timeout=self._pause()))
            while len(found) < MOST_AT_ONCE:
                found.append(self.inbox.get_nowait())
        kinds = Counter(each.kind.value for each in found if isinstance(each, Noticed))
        for kind, count in kinds.items():
            self.tally.count_notifications(kind, count)
        return found

    def _attempt(self, step: Callable[[], None]) -> None:
        """Do *step*; what is lost when it fails, the next sweep finds."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 - the thread outlives a full disk, or a bug
            self._failures.met(error)
            self.sweeps.put(SweepRequest(FAILURE))

    def _pause(self) -> float | None:
        """Seconds until there is something to look at; ``None`` while all is quiet."""
        due = [d for d in (self.settling.next_look(), *self._leaving.values()) if d is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _take(self, notice: Noticed) -> None:
        match notice.kind:
            case Notice.CHANGED | Notice.MOVED_HERE:
                renamed = notice.kind is Notice.MOVED_HERE
                self._changed(notice.path, renamed=renamed, met=notice.met)
            case Notice.REMOVED:
                self._just_removed = self._removed(notice.path)
                return
            case Notice.DIRECTORY_CHANGED | Notice.ROOT_BACK:
                self.sweeps.put(SweepRequest("directory", notice.path))
            case Notice.OVERFLOW:
                self._lost_at = time.monotonic()
                self.desk.tell(WatchOverflowed())
                self.sweeps.put(SweepRequest("overflow"))
            case Notice.ROOT_GONE:
                self.sweeps.put(Check())
        self._just_removed = None

    def _changed(self, path: Path, *, renamed: bool, met: bool = False) -> None:
        if self._kind(path) is not None:
            self._leaving.pop(path, None)
            self._touched.discard(path)
            if not met:
                self._renamed.pop(path, None)
            if renamed and self._just_removed is not None:
                self._renamed[path] = self._just_removed
            self.settling.note(path, time.monotonic(), self._glimpse, renamed)
            if not self.settling.waits(path):
                self._touched.add(path)  # it is gone again, and what was told of it was a write
            return
        self._by_way_of.pop(path, None)
        if renamed and self._just_removed is not None and len(self._by_way_of) < MOST_AT_ONCE:
            self._by_way_of[path] = self._just_removed
        if self._is_sidecar(path):
            self.on_sidecar(path)
        elif self._is_linked_directory(path):
            self.sweeps.put(SweepRequest("directory", path))

    def _removed(self, path: Path) -> Path | None:
        """Keep the row a moment: what was removed here may have been renamed to there.

        Returns where its row is, unless something else than renames was told of it since.
        """
        origin = self._renamed.pop(path, None) or self._by_way_of.pop(path, None)
        if origin is None and self.settling.waits(path):
            self._touched.add(path)
        if origin is None and path not in self._touched:
            origin = path
        self.settling.forget(path)
        self._leaving[path] = time.monotonic() + (
            LEAVING_SECONDS if self._kind(path) == "models" else 0.0
        )
        beside = fetched_beside(path.name)
        if beside is not None:
            # Whoever fetched the file is done with it, and need not have touched it since.
            self._changed(path.with_name(beside), renamed=False)
        return origin

    def _is_sidecar(self, path: Path) -> bool:
        return spoken_of(path.name) is not None and str(path).startswith(self._in_models)

    def _is_linked_directory(self, path: Path) -> bool:
        try:
            return self.reach.at(path, lambda link: link.is_symlink() and link.is_dir())
        except OSError:
            return False  # it is met again by the next sweep

    def _glimpse(self, path: Path) -> tuple[Stamp, bool | None] | None:
        """Look at a path; one that does not answer is found again by the sweep when it does."""
        try:
            return self.reach.at(path, glimpse)
        except Silent:
            return None

    def _kind(self, path: Path) -> str | None:
        name, text = path.name, str(path)
        if text.startswith(self._in_workflows) and is_workflow_file(name):
            return "workflows"
        if text.startswith(self._in_models) and self.is_model(name):
            return "models"
        return None

    def _hand_over(self) -> None:
        now = time.monotonic()
        events: list[Event] = []
        settled = self.settling.settled(now, self._glimpse)
        left = [path for path, due in self._leaving.items() if due <= now]
        if settled or left:
            with self.reader.connect() as connection:
                known = Lookups(connection)
                for path in settled:
                    events += self._settled(path, known)
                    self._renamed.pop(path, None)
                for path in left:
                    del self._leaving[path]
                    self._touched.discard(path)
                    events += self._left(path, known)
        self.desk.store(events)
        if events:
            self._failures.passed()
        if any(isinstance(event, ModelFound) for event in events):
            self.desk.ring("index")
        for directory in self.settling.dirty_directories():
            self.sweeps.put(SweepRequest("crowded", directory))

    def _settled(self, path: Path, known: Lookups) -> list[Event]:
        try:
            stamp = self.reach.look(path)
            if stamp is None:
                return []
            if self._kind(path) == "workflows":
                same = known.workflow(path) == stamp
                return [] if same else [WorkflowSettled(path, stamp.size)]
            events = self._settled_model(path, stamp, known)
            return [*events, *other_names(path, stamp, known, self.reach)]
        except WatchmanError as error:
            return [ErrorMet(error.trouble(), path)]
        except OSError as error:
            return [ErrorMet(reading_failed(error, path).trouble(), path)]

    def _settled_model(self, path: Path, stamp: Stamp, known: Lookups) -> list[Event]:
        row = known.model(path)
        if row == (stamp, True):
            return []
        if row is None or not _same_inode(row[0], stamp):
            event = self._moved_here(path, stamp, known)
            if row is not None:
                self._displace(path)
            if event is not None:
                return [event]
        return self.reach.at(path, found_model)

    def _moved_here(self, path: Path, stamp: Stamp, known: Lookups) -> Event | None:
        """Say that the file was elsewhere a moment ago, if it was."""
        for other in known.whole_models_like(stamp):
            there = self.reach.look(other) if other != path else stamp
            if there is None:
                heard = self._heard(other, path)
                self._leaving.pop(other, None)
                self._touched.discard(other)
                return moved(self.reader, path, other, stamp, heard=heard)
            if not _same_inode(there, stamp):
                heard = self._heard(other, path)
                return moved(self.reader, path, other, stamp, heard=heard, exchanged=True)
        _, was = self._displaced.pop((stamp.device, stamp.inode), (0.0, None))
        if was is None or not was.whole or not _same_bytes(was.stamp, stamp):
            return None
        heard = self._heard(was.path, path)
        return moved(self.reader, path, was.path, stamp, heard=heard, exchanged=True, was=was)

    def _displace(self, path: Path) -> None:
        """Keep what is known of the file that had this name: it may come under another one."""
        now = time.monotonic()
        self._displaced = {file: each for file, each in self._displaced.items() if each[0] > now}
        was = self.reader.read(lambda c: hashes.known(c, path))
        if was is not None:
            file = (was.stamp.device, was.stamp.inode)
            self._displaced[file] = (now + LEAVING_SECONDS, was)

    def _heard(self, before: Path, path: Path) -> bool:
        """Whether the kernel told that *before* was renamed to *path*, and of no write to either.

        A write that was not told would have been among the notices that were lost.
        """
        if self._renamed.get(path) != before or before in self._touched:
            return False
        return self.compared() and time.monotonic() - self._lost_at >= LOST_SECONDS

    def _left(self, path: Path, known: Lookups) -> list[Event]:
        """Believe a removal only when a look at the disk confirms it."""
        try:
            if self.reach.look(path) is not None:
                return []
        except WatchmanError:
            return []
        return [
            *(ModelRemoved(gone) for gone in known.models_below(path)),
            *(WorkflowRemoved(gone) for gone in known.workflows_below(path)),
        ]


def said_again(notices: Sequence[Noticed | Stop]) -> list[tuple[Noticed | Stop, bool]]:
    """Return each notice, and whether it is only a change of a file that changes again after it.

    What follows is looked at later than both were told. Of a file that is written the kernel tells
    three times and more, and what many writers do comes in turns.
    """
    next_news: dict[Path, Noticed] = {}
    found: list[tuple[Noticed | Stop, bool]] = []
    for notice in reversed(notices):
        if isinstance(notice, Stop):
            found.append((notice, False))
            continue
        again = notice.kind is Notice.CHANGED and next_news.get(notice.path) == notice
        found.append((notice, again))
        next_news[notice.path] = notice
    found.reverse()
    return found


def rule_for(workflow_dirs: Sequence[Path], settle_seconds: float) -> Callable[[Path], Rule]:
    """Return how long a path must rest: a workflow shortly, since it is read again when it is
    written again; a model for the whole time, since reading it costs.
    """
    workflow = Rule(min(0.05, settle_seconds), min(0.5, settle_seconds), max(3.0, settle_seconds))
    model = Rule(settle_seconds, max(settle_seconds, NOBODY_TELLS_SECONDS))
    inside = _prefixes(workflow_dirs)

    def rule(path: Path) -> Rule:
        named = is_workflow_file(path.name) and str(path).startswith(inside)
        return workflow if named else model

    return rule


def _prefixes(roots: Sequence[Path]) -> tuple[str, ...]:
    """Return how the path of whatever lies below one of *roots* begins."""
    return tuple(f"{root}/" for root in roots)


def _same_inode(one: Stamp, other: Stamp) -> bool:
    return (one.device, one.inode) == (other.device, other.inode)


def _same_bytes(before: Stamp, after: Stamp) -> bool:
    return (before.size, before.mtime_ns) == (after.size, after.mtime_ns)
