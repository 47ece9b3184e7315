"""Threads that read model files: a lane for each slow device, one for all that is fast."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush, nsmallest
from pathlib import Path

from comfywatchman.daemon.readers.brakes import SQUEEZE_SECONDS, Brakes
from comfywatchman.daemon.readers.guest import become_guest
from comfywatchman.daemon.readers.neighbors import Reads
from comfywatchman.disk.counters import read_by
from comfywatchman.disk.devices import Device
from comfywatchman.disk.files import look
from comfywatchman.domain.errors import Interrupted, WatchmanError
from comfywatchman.domain.files import Reading
from comfywatchman.inventory import Changed, Wanted, has_header, read_model, sample_of
from comfywatchman.state.hashes import Known, Unmeasured

_AHEAD = 16
"""Files that wait for each reader before more are borrowed for it: small ones are read fast."""


@dataclass(frozen=True, slots=True)
class Task:
    """One file to read."""

    item: Unmeasured
    device: Device
    wanted: Wanted = field(default_factory=Wanted)
    same_as: Known | None = None
    """A measured name of what seems to be the same file, with another name more or less now."""


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a task; `Interrupted` where we are stopping."""

    task: Task
    outcome: Reading | Changed | Exception
    seconds: float
    read: int
    """Bytes."""


@dataclass(frozen=True, slots=True, order=True)
class _Turn:
    """A task among others: what somebody waits for comes first, then what is small."""

    unasked: bool
    size: int
    path: Path
    task: Task = field(compare=False)

    @property
    def first(self) -> bool:
        return not self.unasked


class Lane:
    """Some threads that read, and the files that wait for them.

    Each reader takes the file whose turn it is when it is done with the one before, so that what
    becomes urgent waits for no more than what is being read. The threads begin with the first file.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        done: Callable[[Done], None],
        brakes: Brakes,
        stop: threading.Event,
        expect: Callable[[Path], None] = lambda _path: None,
    ) -> None:
        """Make a lane with a thread for each of *names*; results go to *done*.

        *expect* is called before a file on a device that may hang is touched, and raises a
        `WatchmanError` where it does.
        """
        self.expect = expect
        self._readers = [_Reader(name, self, done, brakes, stop) for name in names]
        self._news = threading.Condition()
        self._waiting: dict[Path, _Turn] = {}
        self._heap: list[_Turn] = []
        """Every turn that waits, the next one first, and some that do not wait any more."""
        self._ended = False

    # -- for who hands out

    def queue(self, task: Task, *, first: bool) -> None:
        """Let *task* wait for its turn; *first*: before those for whose file nobody waits."""
        for reader in self._readers:
            reader.begin()
        with self._news:
            self._add(task, first=first)
            self._news.notify()

    def promote(self, path: Path) -> None:
        """Let *path*, if it waits here, come before those for which nobody waits."""
        with self._news:
            turn = self._waiting.get(path)
            if turn is not None and not turn.first:
                self._add(turn.task, first=True)

    def _add(self, task: Task, *, first: bool) -> None:
        turn = _Turn(not first, task.item.stamp.size, task.item.path, task)
        self._waiting[task.item.path] = turn
        heappush(self._heap, turn)

    def queued(self) -> int:
        return len(self._waiting)

    def heads(self, most: int) -> list[Task]:
        """Return the next few that wait."""
        with self._news:
            return [turn.task for turn in nsmallest(most, self._waiting.values())]

    def withdraw(self, task: Task) -> _Turn | None:
        """Take *task* off the queue, unless somebody reads it already, and return its turn."""
        with self._news:
            return self._waiting.pop(task.item.path, None)

    def wants_more(self) -> bool:
        """Whether the readers have, or soon will have, nothing to do."""
        return self.queued() < _AHEAD * len(self._readers)

    def bytes_read(self) -> int:
        return sum(reader.bytes_read for reader in self._readers)

    # -- for the readers

    def take_task(self) -> Task | None:
        """Wait for the next file to read; ``None`` at the end."""
        with self._news:
            while not self._ended:
                while self._heap:
                    turn = heappop(self._heap)
                    if self._waiting.get(turn.path) is turn:
                        del self._waiting[turn.path]
                        return turn.task
                self._news.wait()
        return None

    # -- for whoever watches them

    def readings(self) -> Iterator[Reads]:
        """Yield which reader reads from which disk of this machine now."""
        for reader in self._readers:
            if reader.disk is not None and reader.native_id is not None:
                yield Reads(reader.native_id, reader.disk)

    # -- the end

    def end(self) -> None:
        """Wake the readers for the last time."""
        with self._news:
            self._ended = True
            self._news.notify_all()

    def join(self, deadline: float) -> None:
        """Wait for the readers until *deadline* (monotonic seconds)."""
        for reader in self._readers:
            reader.join_until(deadline)

    def alive(self) -> Iterator[tuple[str, bool, float]]:
        """Yield for each reader that began its name, whether it lives, and its last sign."""
        for reader in self._readers:
            if reader.begun:
                yield reader.name, reader.is_alive(), reader.heartbeat


class _Reader(threading.Thread):
    def __init__(
        self,
        name: str,
        lane: Lane,
        done: Callable[[Done], None],
        brakes: Brakes,
        stop: threading.Event,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._lane = lane
        self._done = done
        self._brakes = brakes
        self._stop_event = stop
        self.begun = False
        self.disk: str | None = None
        """The disk of this machine that it reads from now."""
        self._read_from_disk: int | None = None
        self.bytes_read = 0
        """Since the beginning, files that came to nothing included; written by this thread."""
        self.heartbeat = time.time()

    def begin(self) -> None:
        if not self.begun:
            self.begun = True
            self.start()

    def join_until(self, deadline: float) -> None:
        if self.begun:
            self.join(max(0.0, deadline - time.monotonic()))

    def run(self) -> None:
        become_guest()
        while not self._stop_event.is_set():
            task = self._lane.take_task()
            if task is None:
                return
            self.heartbeat = time.time()
            started, before = time.monotonic(), self.bytes_read
            self.disk = task.device.key if task.device.local else None
            self._read_from_disk = read_by(threading.get_native_id())
            outcome = self._read(task)
            self.disk = None
            seconds = time.monotonic() - started
            self._done(Done(task, outcome, seconds, self.bytes_read - before))

    def _read(self, task: Task) -> Reading | Changed | Exception:
        path = task.item.path
        if self._stop_event.is_set():
            return Interrupted(f"{path} was not read.", remedy="It is read at the next start.")
        try:
            if not task.device.local:
                self._lane.expect(path)
            if task.same_as is not None and _tells_enough(task, task.same_as):
                known = _recognized(task, task.same_as)
                if known is not None:
                    return known
            return read_model(path, self._stop_event, self._blocks(task.device), task.wanted)
        except WatchmanError as error:
            return error
        except Exception as error:  # noqa: BLE001 - a bug ends neither the thread nor the other files
            return error

    def _blocks(self, device: Device) -> Callable[[int], None]:
        before = 0

        def on_block(done: int) -> None:
            nonlocal before
            count, before = done - before, done
            self.bytes_read += count
            self.heartbeat = time.time()
            self._brakes.hold(count)
            if self._brakes.disk(device.key).closed:
                self._step_back(device)

        return on_block

    def _step_back(self, device: Device) -> None:
        """Let others read from the disk first, unless we do not: the file may lie in memory."""
        total = read_by(threading.get_native_id())
        if total != self._read_from_disk:
            self._brakes.disk(device.key).wait(SQUEEZE_SECONDS)
        self._read_from_disk = total


def _tells_enough(task: Task, known: Known) -> bool:
    """Whether nothing is wanted that the measure of the other name did not tell."""
    if not task.wanted.after_header or known.digests.after_sha256 is not None:
        return True
    return not has_header(task.item.path)


def _recognized(task: Task, known: Known) -> Reading | None:
    """Return what is known of this very file, where another name of it was measured.

    A stamp that differs must be explained by a name that came or went.
    """
    path, stamp = task.item.path, task.item.stamp
    if stamp == known.stamp and look(path) == stamp:
        return known.reading(stamp, known.links)
    sample, seen, links = sample_of(path)
    if seen != stamp or sample != known.digests.sample or links == known.links:
        return None
    return known.reading(stamp, links)
