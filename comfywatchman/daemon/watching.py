"""The settle thread: notices from the kernel and from sweeps become settled files."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from comfywatchman.daemon.failures import Failures
from comfywatchman.daemon.tally import Tally
from comfywatchman.disk.files import look
from comfywatchman.domain.errors import WatchmanError
from comfywatchman.domain.files import Stamp
from comfywatchman.domain.messages import (
    Event,
    ModelCorrupt,
    ModelFound,
    ModelMoved,
    ModelRemoved,
    WatchOverflowed,
    WorkflowRemoved,
    WorkflowSettled,
)
from comfywatchman.pipeline.desk import Desk
from comfywatchman.pipeline.sweeping import found_model, is_workflow_file
from comfywatchman.state import models, workflows
from comfywatchman.watch.glimpse import glimpse
from comfywatchman.watch.notice import Notice, Noticed
from comfywatchman.watch.settle import Rule, Settling

if TYPE_CHECKING:
    from comfywatchman.state.keeper import Reader

LEAVING_SECONDS = 3.0
"""How long a removed model keeps its row: a rename is a removal and an arrival."""

MOST_AT_ONCE = 500
"""Notices taken in before the settled ones are looked at again."""


FAILURE = "failure"
"""Why a sweep is asked for that waits for the next check: what failed just now fails again."""


@dataclass(frozen=True, slots=True)
class SweepRequest:
    """Asks the sweep thread to walk everything, or what lies below one directory."""

    reason: str
    below: Path | None = None


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
    heartbeat: float = field(default_factory=time.time)
    _leaving: dict[Path, float] = field(default_factory=dict)
    _failures: Failures = field(default_factory=lambda: Failures("settle"))

    def run(self) -> None:
        while True:
            self.heartbeat = time.time()
            try:
                notice = self.inbox.get(timeout=self._pause())
            except Empty:
                notice = None
            for _ in range(MOST_AT_ONCE):
                if isinstance(notice, Stop):
                    return
                if notice is None:
                    break
                self._attempt(partial(self._take, notice))
                try:
                    notice = self.inbox.get_nowait()
                except Empty:
                    notice = None
            else:
                if notice is not None:
                    self.inbox.put(notice)
            self._attempt(self._hand_over)

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
        self.tally.count_notifications(notice.kind.value)
        match notice.kind:
            case Notice.CHANGED | Notice.MOVED_HERE:
                self._changed(notice.path, renamed=notice.kind is Notice.MOVED_HERE)
            case Notice.REMOVED:
                self._removed(notice.path)
            case Notice.DIRECTORY_CHANGED | Notice.ROOT_BACK:
                self.sweeps.put(SweepRequest("directory", notice.path))
            case Notice.OVERFLOW:
                self.desk.tell(WatchOverflowed())
                self.sweeps.put(SweepRequest("overflow"))
            case Notice.ROOT_GONE:
                self.sweeps.put(Check())

    def _changed(self, path: Path, *, renamed: bool) -> None:
        if self._kind(path) is not None:
            self._leaving.pop(path, None)
            self.settling.note(path, time.monotonic(), glimpse, renamed)
        elif path.is_symlink() and path.is_dir():
            self.sweeps.put(SweepRequest("directory", path))

    def _removed(self, path: Path) -> None:
        """Keep the row a moment: what was removed here may have been renamed to there."""
        self.settling.forget(path)
        self._leaving[path] = time.monotonic() + (
            LEAVING_SECONDS if self._kind(path) == "models" else 0.0
        )

    def _kind(self, path: Path) -> str | None:
        if is_workflow_file(path.name) and _below(path, self.workflow_dirs):
            return "workflows"
        if self.is_model(path.name) and _below(path, self.model_roots):
            return "models"
        return None

    def _hand_over(self) -> None:
        now = time.monotonic()
        events: list[Event] = []
        for path in self.settling.settled(now, glimpse):
            events += self._settled(path)
        for path in [path for path, due in self._leaving.items() if due <= now]:
            del self._leaving[path]
            events += self._left(path)
        self.desk.store(events)
        if events:
            self._failures.passed()
        if any(isinstance(event, ModelFound) for event in events):
            self.desk.ring("index")
        for directory in self.settling.dirty_directories():
            self.sweeps.put(SweepRequest("crowded", directory))

    def _settled(self, path: Path) -> list[Event]:
        try:
            stamp = look(path)
            if stamp is None:
                return []
            if self._kind(path) == "workflows":
                return self._settled_workflow(path, stamp)
            return self._settled_model(path, stamp)
        except WatchmanError as error:
            return [ModelCorrupt(path, error.trouble())] if self._kind(path) == "models" else []

    def _settled_workflow(self, path: Path, stamp: Stamp) -> list[Event]:
        known = self.reader.read(lambda c: workflows.stamp_of(c, path))
        return [] if known == stamp else [WorkflowSettled(path, stamp.size)]

    def _settled_model(self, path: Path, stamp: Stamp) -> list[Event]:
        known = self.reader.read(lambda c: models.one(c, path))
        if known is not None and known.stamp == stamp and known.whole:
            return []
        before = self._former_path(path, stamp) if known is None else None
        if before is not None:
            self._leaving.pop(before, None)
            return [ModelMoved(path, before, stamp)]
        return found_model(path)

    def _former_path(self, path: Path, stamp: Stamp) -> Path | None:
        """Return where this very file was a moment ago, if it was renamed to *path*."""
        for row in self.reader.read(lambda c: models.same_inode(c, stamp)):
            if row.path != path and row.whole and look(row.path) is None:
                return row.path
        return None

    def _left(self, path: Path) -> list[Event]:
        """Believe a removal only when a look at the disk confirms it."""
        try:
            if look(path) is not None:
                return []
        except WatchmanError:
            return []
        with self.reader.connect() as connection:
            return [
                *(ModelRemoved(gone) for gone in models.below(connection, path)),
                *(WorkflowRemoved(gone) for gone in workflows.below(connection, path)),
            ]


def rule_for(workflow_dirs: Sequence[Path], settle_seconds: float) -> Callable[[Path], Rule]:
    """Return how long a path must rest: a workflow shortly, since it is read again when it is
    written again; a model for the whole time, since reading it costs.
    """
    workflow = Rule(min(0.05, settle_seconds), min(0.5, settle_seconds), max(3.0, settle_seconds))
    model = Rule(settle_seconds, settle_seconds)

    def rule(path: Path) -> Rule:
        named = is_workflow_file(path.name) and _below(path, workflow_dirs)
        return workflow if named else model

    return rule


def _below(path: Path, roots: Sequence[Path]) -> bool:
    return any(root in path.parents for root in roots)
