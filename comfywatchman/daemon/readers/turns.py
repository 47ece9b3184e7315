"""Whose turn it is to be measured: wanted files first, then small ones, each in its lane."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from comfywatchman.daemon.readers.lanes import Lane, Task
from comfywatchman.disk.devices import Device, Devices
from comfywatchman.disk.files import open_regular
from comfywatchman.disk.pagecache import resident
from comfywatchman.domain.errors import WatchmanError
from comfywatchman.domain.files import Folders, Stamp
from comfywatchman.inventory import Wanted, is_lora
from comfywatchman.inventory.retries import Retries
from comfywatchman.pipeline.trust import proves_in
from comfywatchman.state import hashes, workflows

if TYPE_CHECKING:
    from comfywatchman.state.hashes import Unmeasured
    from comfywatchman.state.keeper import Reader

Mode = Literal["background", "on-demand"]

LOW, HIGH = 64, 512
"""A queue with fewer files is filled again; one with more gets none for the time being."""

_URGENT = 256
_LOOKED_AT = 8
_AUTOV3_SECONDS = 30.0
_FAST = "fast"


@dataclass(frozen=True, slots=True)
class _Held:
    lane: Lane
    file: tuple[int, int]
    """Device and inode."""


@dataclass(slots=True)
class Turns:
    """The backlog, piece by piece, on its way to the readers. Owned by one thread."""

    reader: Reader
    folders: Folders
    new_lane: Callable[[int], Lane]
    """Makes a lane with so many readers."""
    mode: Mode = "background"
    workers: int = 2
    """Readers of all that is fast, together; a slow device has one of its own."""
    blake3: bool = False
    devices: Devices = field(default_factory=Devices)
    retries: Retries = field(default_factory=Retries)
    lanes: dict[str, Lane] = field(default_factory=dict)
    _held: dict[Path, _Held] = field(default_factory=dict)
    """Queued in their lane, or being read."""
    _files: dict[tuple[int, int], bool] = field(default_factory=dict)
    """Device and inode of each of these, and whether another name of it waits for the outcome."""
    _numbers: dict[Lane, set[int]] = field(default_factory=dict)
    """Which device numbers each lane reads from."""
    _news: bool = True
    _looked_at: float = 0.0
    _after: tuple[int, Path] | None = None
    """Up to where the backlog was gone through."""
    _through: bool = False
    _asked: bool = False
    """Whether a workflow asks for any model: before one does, nothing is urgent."""
    _read_for_autov3: set[tuple[Path, Stamp]] = field(default_factory=set)
    _autov3_asked: float = 0.0
    _autov3_waits: bool = False
    _left_out: set[Lane] = field(default_factory=set)
    """Those whose queue was full at the time: there may be more for them."""

    def news(self) -> None:
        """Note that there may be files to measure that were not there before."""
        self._news = True

    def busy(self) -> bool:
        return bool(self._held)

    def held(self) -> int:
        """Return how many files are queued, are being read, or wait to be stored."""
        return len(self._held)

    def next_look(self) -> float | None:
        """Return when to hand out next without any further news (monotonic seconds).

        That is when something is due that failed or had to wait; ``None`` where nothing did.
        """
        return self._looked_at if self._news else self.retries.next_due(self._looked_at)

    def release(self, path: Path) -> None:
        """Note that what became of *path* is stored: until then its row says that it waits."""
        held = self._held.pop(path, None)
        if held is not None and self._files.pop(held.file, False):
            self._news = True
        if self._autov3_waits and not self._held:
            self._news = True

    def hand_out(self) -> None:
        """Fill the queues from the backlog; the readers take from them what is next."""
        self._fill(time.monotonic())
        self._lend()

    # -- from the backlog into the queues

    def _fill(self, now: float) -> None:
        due = self.next_look()
        if due is not None and due <= now:
            self._begin_anew()
            self._looked_at = now
            self.retries.tidy(now)
            self._queue(self._urgent(), now, first=True)
        if self._through and any(lane.queued() < LOW for lane in self._left_out):
            self._begin_anew()
        while self.mode == "background" and not self._through and self._hungry():
            found = self._piece()
            self._queue(found, now, first=False)

    def _begin_anew(self) -> None:
        self._news, self._through, self._after = False, False, None
        self._left_out.clear()

    def _urgent(self) -> list[Unmeasured]:
        self._asked = self.reader.read(workflows.any_wants)
        if not self._asked:
            return []
        ask = hashes.asked_for if self.mode == "on-demand" else hashes.wanted
        limit = _URGENT + len(self._held) + self.retries.waiting()
        found = self.reader.read(lambda c: ask(c, limit))
        return found + self._without_autov3()

    def _without_autov3(self) -> list[Unmeasured]:
        """Return measured files that have to be read for AutoV3, each once: it may have none.

        The question takes its time where many are asked about: not at all news while others wait.
        """
        now = time.monotonic()
        self._autov3_waits = bool(self._held) and now - self._autov3_asked < _AUTOV3_SECONDS
        if self._autov3_waits:
            return []
        self._autov3_asked = now
        limit = _URGENT + len(self._read_for_autov3)
        found = self.reader.read(lambda c: hashes.without_autov3(c, limit))
        return [item for item in found if (item.path, item.stamp) not in self._read_for_autov3]

    def _hungry(self) -> bool:
        return not self.lanes or any(lane.queued() < LOW for lane in self.lanes.values())

    def _piece(self) -> list[Unmeasured]:
        """Return the next piece of the backlog, without what belongs into a full queue."""
        full = {lane for lane in self.lanes.values() if lane.queued() >= HIGH}
        self._left_out |= full
        without = set().union(*(self._numbers[lane] for lane in full))
        found = self.reader.read(
            partial(hashes.unmeasured, limit=HIGH, after=self._after, without=without)
        )
        if found:
            self._after = (found[-1].stamp.size, found[-1].path)
        else:
            self._through = True
        return found

    def _queue(self, found: Sequence[Unmeasured], now: float, *, first: bool) -> None:
        items = [item for item in found if self._is_turn_of(item, now, first=first)]
        if not items:
            return
        same = self.reader.read(lambda c: hashes.same_files(c, items))
        stated = self._stating_autov3([item.path for item in items])
        clock = time.time()
        for item in items:
            device = self.devices.of(item.stamp.device, item.path)
            wait = proves_in(item.stamp, item.noted_at, device, clock)
            if wait > 0:
                self.retries.defer(item.path, item.noted_at, now + wait)
                continue
            file = (item.stamp.device, item.stamp.inode)
            if file in self._files:  # by another name; what is told of one is told of all
                self._files[file] = True
                continue
            lane = self._lane_of(device)
            wanted = self._wanted(item.path, stated=item.path in stated)
            if item.path in stated:
                self._read_for_autov3.add((item.path, item.stamp))
            task = Task(item, device, wanted, same.get(item.path))
            lane.queue(task, first=first)
            self._held[item.path] = _Held(lane, file)
            self._files[file] = False
            self._numbers[lane].add(item.stamp.device)

    def _stating_autov3(self, paths: Sequence[Path]) -> frozenset[Path]:
        if not self._asked:
            return frozenset()
        return self.reader.read(lambda c: hashes.stating_autov3(c, paths))

    def _is_turn_of(self, item: Unmeasured, now: float, *, first: bool) -> bool:
        held = self._held.get(item.path)
        if held is not None and first:
            held.lane.promote(item.path)
        return held is None and self.retries.ready(item.path, item.noted_at, now)

    def _wanted(self, path: Path, *, stated: bool) -> Wanted:
        stated = stated and path.suffix.lower() in hashes.WITH_HEADER
        return Wanted(stated or is_lora(self.folders, path), self.blake3)

    def _lane_of(self, device: Device) -> Lane:
        return self._lane(_FAST if device.likes_company else device.key)

    def _lane(self, key: str) -> Lane:
        lane = self.lanes.get(key)
        if lane is None:
            lane = self.lanes[key] = self.new_lane(self.workers if key == _FAST else 1)
            self._numbers[lane] = set()
        return lane

    # -- what lies in memory already is not read from its slow device

    def _lend(self) -> None:
        """Let the fast readers, where they have nothing to do, read what is in the page cache."""
        slow = [lane for key, lane in self.lanes.items() if key != _FAST and lane.queued()]
        if not slow:
            return
        fast = self._lane(_FAST)
        for lane in slow:
            if not fast.wants_more():
                return
            for task in lane.heads(_LOOKED_AT):
                if fast.wants_more() and self._in_memory(task):
                    turn = lane.withdraw(task)
                    if turn is not None:
                        self._held[task.item.path] = replace(self._held[task.item.path], lane=fast)
                        fast.queue(task, first=turn.first)

    def _in_memory(self, task: Task) -> bool:
        path, stamp = task.item.path, task.item.stamp
        if stamp.size == 0 or not task.device.local:
            return False
        try:
            descriptor = open_regular(path)
        except WatchmanError:
            return False
        try:
            cached = resident(descriptor, 0, stamp.size)
        finally:
            os.close(descriptor)
        return cached is not None and cached >= stamp.size * 0.95
