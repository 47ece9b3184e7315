"""The thread that has model files read for their hashes, and stores what came of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING

from comfywatchman.daemon.failures import Failures, tell_failure
from comfywatchman.daemon.readers.brakes import Brakes
from comfywatchman.daemon.readers.lanes import Done, Lane
from comfywatchman.daemon.readers.neighbors import Neighbors, Reads
from comfywatchman.daemon.readers.turns import Mode, Turns
from comfywatchman.daemon.readers.yielding import Yielding
from comfywatchman.domain.errors import DiskFailed, FileUnreadable, Interrupted, Trouble
from comfywatchman.domain.files import Folders, Reading, Stamp
from comfywatchman.domain.messages import Event, InventoryProgressed, ModelFound, ModelIndexed
from comfywatchman.inventory import Changed
from comfywatchman.inventory.speed import Speed
from comfywatchman.pipeline.desk import Desk
from comfywatchman.pipeline.reach import Reach
from comfywatchman.pipeline.record import INDEX
from comfywatchman.pipeline.trust import judged
from comfywatchman.state import hashes

if TYPE_CHECKING:
    from comfywatchman.daemon.tally import Tally
    from comfywatchman.download.pace import Bandwidth
    from comfywatchman.state.hashes import Unmeasured
    from comfywatchman.state.keeper import Reader

PROGRESS_SECONDS = 60.0
SIGN_SECONDS = 5.0
"""How often the thread wakes while others read: for its heartbeat and the speed."""
STORE_SECONDS = 0.2
"""How long an outcome waits at most to be stored with others, while more is being read."""
JOIN_SECONDS = 0.8
"""How long the readers get for their last block."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How to measure, as the settings have it."""

    mode: Mode = "background"
    workers: int = 2
    blake3: bool = False
    bandwidth: Bandwidth | None = None
    """The budget that all readers share; ``None`` for no limit."""
    runs_prompt: Callable[[], bool | None] | None = None
    """Asks whether ComfyUI works, to pause meanwhile; ``None`` never pauses."""


@dataclass(slots=True)
class Measuring:
    """Owns the turns; its thread hands out and stores, the readers of the lanes read."""

    desk: Desk
    reader: Reader
    folders: Folders
    stop: threading.Event
    tally: Tally
    manner: Manner = field(default_factory=Manner)
    reach: Reach = field(default_factory=Reach)
    heartbeat: float = field(default_factory=time.time)
    turns: Turns = field(init=False)
    _brakes: Brakes = field(init=False)
    _neighbors: Neighbors = field(init=False)
    _yielding: Yielding | None = field(init=False, default=None)
    _speed: Speed = field(default_factory=Speed)
    _readers: int = 0
    _counted: int = 0
    _told_at: float = 0.0
    """When progress was last told, or when there began to be something to do."""
    _told: set[tuple[Path, type[Exception]]] = field(default_factory=set)
    _unstored: list[Event] = field(default_factory=list)
    _unreadable: list[tuple[Path, Stamp, Trouble]] = field(default_factory=list)
    _settled: list[Path] = field(default_factory=list)
    """Files that were read, or tried in vain, whose outcome is among these."""
    _store_at: float = 0.0
    """When to store what was found out, even if more is being read (monotonic seconds)."""
    _stuck: bool = False
    """The state could not be written just now."""
    _failures: Failures = field(default_factory=lambda: Failures("index"))

    def __post_init__(self) -> None:
        manner = self.manner
        self.turns = Turns(
            self.reader,
            self.folders,
            self._new_lane,
            manner.mode,
            manner.workers,
            manner.blake3,
        )
        self._brakes = Brakes(manner.bandwidth, self.stop)
        self._neighbors = Neighbors(self._readings, self._brakes, self.stop)
        if manner.runs_prompt is not None:
            self._yielding = Yielding(manner.runs_prompt, self._brakes.prompt, self.stop)

    def run(self) -> None:
        for watcher in self._watchers():
            watcher.start()
        done: Sequence[Done] = ()
        while not self.stop.is_set():
            self.heartbeat = time.time()
            try:
                self._round(done)
                self._failures.passed()
            except Exception as error:  # noqa: BLE001 - the thread outlives a full disk, or a bug
                self._failures.met(error)
                self.stop.wait(SIGN_SECONDS)
            done = self._results(self._pause())
        self._end(done)

    def standing(self) -> InventoryProgressed:
        """Return how far measuring is; called by other threads too."""
        ask = hashes.backlog_asked_for if self.manner.mode == "on-demand" else hashes.backlog
        files, size = self.reader.read(ask)
        speed = self._speed
        remaining = speed.remaining(size) if files else None
        paused = self._brakes.prompt.closed and self.turns.busy()
        return InventoryProgressed(files, size, speed.bytes_per_second, remaining, paused)

    def alive(self) -> Iterator[tuple[str, bool, float]]:
        """Yield each reader's name, whether it lives, and its last sign (Unix seconds).

        Those who hold readers up are among them: one that hangs would hold them up for ever.
        """
        for lane in list(self.turns.lanes.values()):
            yield from lane.alive()
        for watcher in self._watchers():
            if watcher.ident is not None:
                yield watcher.name, watcher.is_alive(), self.heartbeat

    # -- one round

    def _round(self, done: Sequence[Done]) -> None:
        """Give the readers more before storing what they read: they do not wait for that."""
        for each in done:
            self._unstored += self._events(each)
            self._settled.append(each.task.item.path)
        if not self._stuck:
            self.turns.hand_out()
        for watcher in self._watchers():
            watcher.needed(now=self.turns.busy())
        self._note_progress()
        if self._unstored_for() <= 0:
            self._store()
        if not self.turns.busy():
            # Nothing wakes this thread before there is something to read again.
            for watcher in self._watchers():
                watcher.needed(now=False)

    def _unstored_for(self) -> float:
        """Return how many seconds what was found out may still wait for more of it.

        One file by itself is stored at once; of many that are in memory one write each would take
        as long as the reading.
        """
        if not self._settled or self.turns.held() <= len(self._settled):
            return 0.0
        return self._store_at - time.monotonic()

    def _results(self, patience: float | None) -> list[Done]:
        """Return what the readers brought; wait *patience* seconds for it, or for news."""
        bell = self.desk.bells[INDEX]
        done: list[Done] = []
        try:
            found = bell.get(timeout=patience)
            while True:
                if isinstance(found, Done):
                    done.append(found)
                else:
                    self.turns.news()
                found = bell.get_nowait()
        except Empty:
            return done

    def _pause(self) -> float | None:
        if self._stuck:
            return 0.01
        due = self.turns.next_look()
        waits = [] if due is None else [max(0.01, due - time.monotonic())]
        if self._settled:
            waits.append(max(0.0, self._unstored_for()))
        return min([*waits, SIGN_SECONDS]) if self.turns.busy() else min(waits, default=None)

    # -- what came of it

    def _store(self) -> None:
        """Store what was found out. While the state cannot be written nothing more is read."""
        self._stuck = True
        self.desk.store(self._unstored)
        if tried := self._unreadable:
            self.desk.keeper.write(lambda c: hashes.unreadable(c, tried))
        for path in self._settled:
            self.turns.release(path)
        self._unstored, self._unreadable, self._settled, self._stuck = [], [], [], False
        self._store_at = time.monotonic() + STORE_SECONDS

    def _events(self, done: Done) -> list[Event]:
        item, outcome = done.task.item, done.outcome
        match outcome:
            case Reading() if outcome.stamp == item.stamp:
                self.turns.retries.passed(item.path)
                return [self._indexed(done, outcome)]
            case Changed(why="incomplete"):
                self.tally.count_hash("incomplete")
                return [ModelFound(item.path, item.stamp.size, whole=False, stamp=item.stamp)]
            case Interrupted():
                return []
            case Exception():
                self._failed(item, outcome)
            case Changed(why=why):
                self.tally.count_hash(why)
            case _:
                self.tally.count_hash("changed")
        self.turns.retries.failed(item.path, item.noted_at, time.monotonic())
        return []

    def _indexed(self, done: Done, reading: Reading) -> ModelIndexed:
        path = done.task.item.path
        folder, name = next(iter(self.folders.named(path)), (None, path.name))
        device = self.turns.devices.of(reading.stamp.device, path)
        return ModelIndexed(path, folder, name, judged(reading, device), done.seconds)

    def _failed(self, item: Unmeasured, error: Exception) -> None:
        """Tell why a file cannot be measured: once for each reason, and all the time at its row."""
        self.tally.count_hash("failed")
        if isinstance(error, FileUnreadable | DiskFailed):
            self._unreadable.append((item.path, item.stamp, error.trouble()))
        reason = (item.path, type(error))
        if reason not in self._told:
            self._told.add(reason)
            tell_failure("index", error)

    # -- how it goes

    def _note_progress(self) -> None:
        now = time.monotonic()
        total = sum(lane.bytes_read() for lane in self.turns.lanes.values())
        self.tally.count_hash_bytes(total - self._counted)
        self._counted = total
        busy = self.turns.busy()
        if not busy or self._brakes.prompt.closed:
            self._speed.pause()
        else:
            self._speed.note(now, total)
        if not busy:
            self._told_at = now
        elif now - self._told_at >= PROGRESS_SECONDS:
            self._told_at = now
            self.desk.tell(self.standing())

    # -- beginning and end

    def _new_lane(self, readers: int) -> Lane:
        first = self._readers + 1
        self._readers += readers
        names = tuple(f"measure-{number}" for number in range(first, first + readers))
        put, expect = self.desk.bells[INDEX].put, self.reach.expect
        return Lane(names, put, self._brakes, self.stop, expect)

    def _watchers(self) -> list[Neighbors | Yielding]:
        return [self._neighbors] if self._yielding is None else [self._neighbors, self._yielding]

    def _readings(self) -> list[Reads]:
        return [each for lane in list(self.turns.lanes.values()) for each in lane.readings()]

    def _end(self, done: Sequence[Done]) -> None:
        """Let the readers come to an end, and keep what they did."""
        for watcher in self._watchers():
            watcher.end()
        self._brakes.release()
        deadline = time.monotonic() + JOIN_SECONDS
        for lane in self.turns.lanes.values():
            lane.end()
        for lane in self.turns.lanes.values():
            lane.join(deadline)
        for each in (*done, *self._results(0.01)):
            self._unstored += self._events(each)
        try:
            self._store()
        except Exception as error:  # noqa: BLE001 - what cannot be stored now is measured again
            self._failures.met(error)
