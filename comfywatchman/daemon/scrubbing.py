"""The thread that takes care of what is known: of decay, and of what other programs say."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from comfywatchman.daemon.care import Restoring, judge
from comfywatchman.daemon.claiming import gather, gather_of, refuted
from comfywatchman.daemon.failures import Failures
from comfywatchman.daemon.hearsay import Hearsay
from comfywatchman.daemon.installation import Place
from comfywatchman.daemon.readers.guest import become_guest
from comfywatchman.daemon.readers.yielding import POLL_SECONDS, Works
from comfywatchman.disk.devices import Devices
from comfywatchman.domain.errors import Interrupted, Trouble, WatchmanError
from comfywatchman.domain.messages import ErrorMet
from comfywatchman.inventory import Changed, Wanted, read_model
from comfywatchman.pipeline.desk import Desk
from comfywatchman.pipeline.reach import Reach
from comfywatchman.pipeline.trust import judged
from comfywatchman.state import care, hashes, workflows

if TYPE_CHECKING:
    from comfywatchman.daemon.measuring import Manner
    from comfywatchman.daemon.tally import Tally
    from comfywatchman.state.care import Due
    from comfywatchman.state.keeper import Keeper, Reader

SCRUB = "scrub"
"""The timer's name, in the state and in the metrics."""
DAY = 86400.0
_MOST_DAYS = 3.0
"""Nights that are made up for at once, where the machine was off."""
_LOOK_SECONDS = 1.0
_PIECE = 64


class Task(Enum):
    SCRUB = "scrub"
    CLAIMS = "claims"
    NEWS = "news"
    """There may be claims about single files."""
    STOP = "stop"


@dataclass(slots=True)
class Scrubbing:
    """Reads one file at a time, when nobody else reads; owned by its thread."""

    desk: Desk
    keeper: Keeper
    reader: Reader
    place: Place
    stop: threading.Event
    tally: Tally
    manner: Manner
    days: float
    """In how many days every file is read once; 0 never."""
    claims: bool = True
    ready: threading.Event = field(default_factory=threading.Event)
    """Set when the first sweep is done: before, nothing is known."""
    busy: Callable[[], bool] = lambda: False
    """Whether files are being measured: then this waits."""
    inbox: SimpleQueue[Task] = field(default_factory=SimpleQueue)
    heartbeat: float = field(default_factory=time.time)
    devices: Devices = field(default_factory=Devices)
    reach: Reach = field(default_factory=Reach)
    hearsay: Hearsay = field(default_factory=Hearsay)
    """Which claims to read between two looks at all of them."""
    _comfyui: Works | None = None
    _works: bool = False
    _asked_at: float = -POLL_SECONDS
    _told: set[tuple[Path, str]] = field(default_factory=set)
    _failures: Failures = field(default_factory=lambda: Failures("care"))

    def __post_init__(self) -> None:
        self.hearsay.ring = lambda: self.inbox.put(Task.NEWS)

    def run(self) -> None:
        become_guest()
        self._remember()
        while True:
            task = self.inbox.get()
            self.heartbeat = time.time()
            if task is Task.STOP or self.stop.is_set():
                return
            try:
                self._carry_out(task)
                self._failures.passed()
            except Interrupted:
                return
            except Exception as error:  # noqa: BLE001 - the thread outlives a full disk, or a bug
                self._failures.met(error)

    def put(self, task: Task) -> None:
        self.inbox.put(task)

    def _carry_out(self, task: Task) -> None:
        while not self.ready.wait(_LOOK_SECONDS):
            self.heartbeat = time.time()
            if self.stop.is_set():
                return
        if task is Task.SCRUB and self.days > 0:
            self.scrub(time.time())
        elif task is Task.CLAIMS and self.claims:
            self.take_claims()
        elif task is Task.NEWS and self.claims:
            while self.hearsay.due_in and not self.stop.is_set():
                self.stop.wait(min(self.hearsay.due_in or 0.0, _LOOK_SECONDS))
            self._take_news()

    def _remember(self) -> None:
        """Have the metric tell of the last scrub although the process is new."""
        last = self.reader.read(workflows.timer_times).get(SCRUB)
        if last is not None:
            self.tally.scrubbed(last)

    # -- decay

    def scrub(self, now: float) -> int:
        """Read this night's part of the files again; return how many bytes that were.

        What cannot be read, such as all of a drive that is not there, is passed over and takes
        nothing of the night's quota. A night in which nothing but that was due did not succeed.
        """
        quota = self._quota(now)
        read, in_vain = 0, False
        for item in self._due(now - self.days * DAY / 2):
            if read >= quota or self.stop.is_set():
                break
            done = self._check(item)
            read += done or 0
            in_vain = in_vain or done is None
        if not self.stop.is_set() and (read or not in_vain):
            self.keeper.write(lambda c: workflows.note_timer(c, SCRUB, now))
            self.tally.scrubbed(now)
        return read

    def _due(self, before: float) -> Iterator[Due]:
        """Yield the files whose last reading was before that time, the oldest first, each once."""
        before = min(before, time.time())
        after: tuple[float, Path] | None = None
        while found := self.reader.read(
            partial(care.due, limit=_PIECE, before=before, after=after)
        ):
            yield from found
            after = found[-1].place

    def _quota(self, now: float) -> int:
        """Return how many bytes are due: a part of all for each day since the last time."""
        with self.reader.connect() as connection:
            total = care.proven_bytes(connection)
            last = workflows.timer_times(connection).get(SCRUB, now - DAY)
        days = min(_MOST_DAYS, max(1.0, (now - last) / DAY))
        return max(1, int(total * days / self.days))

    def _check(self, item: Due) -> int | None:
        """Read one file and store what it tells; return its bytes, or ``None`` if it cannot be.

        It is 0 where the file is not due any more: it was written to since, or read by another
        name.
        """
        self._wait_for_others()
        known = self.reader.read(lambda c: hashes.known(c, item.path))
        if known is None or known.stamp != item.stamp or known.verified_at != item.verified_at:
            return 0
        if not self.reach.answers(item.path):
            return None
        digests = known.digests
        wanted = Wanted(digests.after_sha256 is not None, digests.blake3 is not None)
        try:
            reading = read_model(item.path, self.stop, self._brake(), wanted, from_disk=True)
        except Interrupted:
            raise
        except WatchmanError as error:
            trouble = error.trouble()
            self._tell_once(item.path, trouble)
            self.keeper.write(lambda c: hashes.unreadable(c, [(item.path, item.stamp, trouble)]))
            return None
        if isinstance(reading, Changed):
            return None
        told = judged(reading, self.devices.of(reading.stamp.device, item.path))
        verdict = judge(self.reader, Restoring(self.place.layout.folders), item.path, told)
        self.desk.store(verdict.events)
        return reading.measured.size

    def _brake(self) -> Callable[[int], None]:
        before = 0

        def on_block(done: int) -> None:
            nonlocal before
            count, before = done - before, done
            self.heartbeat = time.time()
            self.tally.count_hash_bytes(count)
            if self.manner.bandwidth is not None:
                self.manner.bandwidth.take(count, self.stop)
            self._wait_for_others()

        return on_block

    def _wait_for_others(self) -> None:
        """Wait while files are measured or ComfyUI works: nobody waits for a scrub."""
        self._take_news()
        while not self.stop.is_set() and (self.busy() or self._comfyui_works()):
            self.heartbeat = time.time()
            self._take_news()
            self.stop.wait(_LOOK_SECONDS)

    def _comfyui_works(self) -> bool:
        """Whether ComfyUI runs a prompt, as it said some seconds ago at the most."""
        if self.manner.runs_prompt is None:
            return False
        if self._comfyui is None:
            self._comfyui = Works(self.manner.runs_prompt)
        if time.monotonic() - self._asked_at >= POLL_SECONDS:
            self._works = self._comfyui.ask()
            self._asked_at = time.monotonic()
        return self._works

    # -- what others say

    def take_claims(self) -> None:
        """Read the caches of other programs, and tell of claims that a measure refuted."""
        self.hearsay.take()  # whatever it is about, all is read now
        found = gather(self.place, self.keeper, self.reader, self._beat, self.reach.answers)
        for path, trouble in (*found.unreadable, *refuted(self.keeper, self.reader)):
            self._tell_once(path, trouble)
        if found.claims:
            self.desk.ring("index")

    def _take_news(self) -> None:
        """Read the claims about what was noted since, if there is anything and it is due."""
        if not self.claims or self.stop.is_set() or self.hearsay.due_in != 0.0:
            return
        began = time.monotonic()
        wanted = self.hearsay.take()
        place, keeper, reader = self.place, self.keeper, self.reader
        if wanted is None:
            found = gather(place, keeper, reader, self._beat, self.reach.answers)
        else:
            answers = self.reach.answers
            found = gather_of(wanted, place, keeper, reader, self._beat, answers=answers)
        self.hearsay.took(time.monotonic() - began)
        for path, trouble in self.hearsay.unreadable(found.unreadable, wanted):
            self._tell_once(path, trouble)
        if found.claims:
            self.desk.ring("index")

    def _beat(self) -> None:
        self.heartbeat = time.time()
        if self.stop.is_set():
            raise Interrupted("The daemon stops.", remedy="It goes on at the next start.")

    def _tell_once(self, path: Path, trouble: Trouble) -> None:
        if (path, trouble.code) not in self._told:
            self._told.add((path, trouble.code))
            self.desk.tell(ErrorMet(trouble, path))

    def end(self) -> None:
        """Wake the thread for the last time; the stop event is set already."""
        self.inbox.put(Task.STOP)
