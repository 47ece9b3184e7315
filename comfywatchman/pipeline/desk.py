"""Where jobs are handed out and taken back: the one place that stores what became of a job."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, TypeVar

from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.jobs import Job, ResolveReference
from comfywatchman.domain.messages import (
    Event,
    JobFailed,
    JobSetAside,
    ModelFound,
    ModelIndexed,
    ModelRemoved,
)
from comfywatchman.pipeline.holding import Hold
from comfywatchman.pipeline.record import (
    INDEX,
    record,
    record_found,
    record_indexed,
    record_removed,
)
from comfywatchman.state import jobs
from comfywatchman.state.jobs import JobRow

if TYPE_CHECKING:
    from comfywatchman.state.keeper import Connection, Keeper, Reader

E = TypeVar("E")

LONGEST_WAIT = 3600.0
"""Seconds a worker sleeps at most without being woken."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step came to: events to store and, where it did not work, why and what next."""

    events: tuple[Event, ...] = ()
    jobs: tuple[Job, ...] = ()
    """Jobs that follow although no event says so."""
    trouble: Trouble | None = None
    """Set where the job did not do what it was asked for."""
    retry_in: float | None = None
    """Seconds until the next try; ``None`` ends the job."""
    progressed: bool = False
    """Some of the work was done before it failed: the count of tries begins anew."""
    uncounted: bool = False
    """It was no try: nothing was asked."""
    mismatched: bool = False
    """Other bytes came than were promised."""
    interrupted: bool = False
    """We broke it off ourselves: the job waits as it was, unless it was canceled."""
    put_off: float | None = None
    """Seconds until it is looked at again: nothing was done yet."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Takes jobs in, hands them out, and tells everybody what happened.

    Used by every thread; what changes belongs to the keeper's thread.
    """

    keeper: Keeper
    reader: Reader
    readers: Sequence[Callable[[Event], None]]
    """Who is told of each event after it was stored: log, metrics, live page."""
    bells: dict[str, SimpleQueue[object]] = field(
        default_factory=lambda: {
            kind: SimpleQueue() for kind in ("analyze", "resolve", "fetch", INDEX)
        }
    )
    """Each put means: there may be work. Who reads model files hears of results there as well."""
    on_job: Callable[[str, str], None] = lambda _kind, _result: None
    """Told the kind of each job that ended, and how: ``done``, or ``failed`` where no event says
    so."""
    rules: Callable[[str], jobs.Rules] = lambda _kind: jobs.ANY
    """Which jobs of a kind may be handed out at this moment."""
    hold: Hold = field(default_factory=Hold)
    within: list[Callable[[Connection, Sequence[Event]], None]] = field(default_factory=list)
    """Who notes something of events in the transaction that stores them, before they are."""
    workers: dict[str, int] = field(default_factory=dict)
    """How many workers listen to each bell; one when not named."""

    def tell(self, event: Event) -> None:
        """Let the readers know of something that is not stored."""
        for reader in self.readers:
            reader(event)

    def store(self, events: Iterable[Event]) -> None:
        """Store *events* and their jobs in one transaction, then tell and wake."""
        told = tuple(events)
        if not told:
            return
        kinds = self.keeper.write(lambda connection: self._record(connection, told))
        self._after(told, kinds)

    def submit(self, asked: Sequence[Job], *, urgent: bool = False) -> None:
        """Store jobs that somebody asked for; what is *urgent* goes before everything else."""
        priority = jobs.NOW if urgent else 0
        self._ring(
            self.keeper.write(lambda c: jobs.enqueue(c, asked, time.time(), priority=priority))
        )

    def take(self, kind: str) -> JobRow | None:
        """Take the next job that may run now; a look without a lock says whether there is one."""
        rules, searches = self.rules(kind), kind == ResolveReference.kind
        if searches:
            rules = self.hold.rules(rules, time.time())
        looked = self.reader.read(lambda c: jobs.claimable(c, kind, time.time(), rules))
        if looked is None:
            if searches:
                self.reader.read(lambda c: self.hold.note(c, rules, time.time()))
            return None
        if searches:
            self.hold.began = None
        return self.keeper.write(lambda c: jobs.claim(c, kind, time.time(), rules))

    def give_back(self, row: JobRow, outcome: Outcome) -> None:
        """Store what became of *row*, its events and the jobs that follow, or nothing of it."""

        def change(connection: Connection) -> set[str]:
            now = time.time()
            kinds = self._record(connection, outcome.events)
            kinds |= jobs.enqueue(connection, outcome.jobs, now)
            again = _close(connection, row, outcome, now)
            # A search may have waited for this workflow to be read.
            held = {ResolveReference.kind} if self.hold.began is not None else set()
            return kinds | ({again} if again else set()) | {row.kind} | held

        kinds = self.keeper.write(change)
        events = outcome.events
        failed = outcome.trouble is not None and outcome.retry_in is None
        if outcome.trouble is not None and failed and row.kind == "analyze":
            events = (*events, JobFailed(row.kind, row.key, outcome.trouble))
        self._after(events, kinds)
        if outcome.interrupted or outcome.put_off is not None:
            return
        if outcome.trouble is None:
            self.on_job(row.kind, "done")
        elif failed and row.kind != "analyze":
            self.on_job(row.kind, "failed")

    def crashed(self, row: JobRow, trouble: Trouble) -> None:
        """Note that a job met a bug of ours; after a few times it is set aside."""
        aside = self.keeper.write(lambda c: jobs.crashed(c, row.id, trouble, time.time()))
        kind = JobSetAside if aside else JobFailed
        self.tell(kind(row.kind, row.key, trouble))

    def wait(self, kind: str) -> None:
        """Sleep until there may be work of *kind*: a bell, or the time of a waiting job."""
        rules = self.rules(kind)
        due = self.reader.read(lambda c: jobs.next_time(c, kind, rules))
        wait = LONGEST_WAIT if due is None else max(0.05, due - time.time())
        if rules.until is not None:
            wait = min(wait, max(0.05, rules.until - time.time()))
        # A job that is due already but was not handed out waits for a lane or a host; whoever
        # finishes there rings.
        if due is not None and due <= time.time():
            wait = 1.0
        with suppress(Empty):
            self.bells[kind].get(timeout=min(wait, LONGEST_WAIT))

    def ring(self, kind: str) -> None:
        self._ring({kind})

    def _record(self, connection: Connection, events: Sequence[Event]) -> set[str]:
        for note in self.within:
            note(connection, events)
        return _record_all(connection, events)

    def _after(self, events: Iterable[Event], kinds: set[str]) -> None:
        for event in events:
            self.tell(event)
        self._ring(kinds)

    def _ring(self, kinds: set[str]) -> None:
        """Wake the workers; who was rung for and has not looked yet will see this news as well."""
        for kind in kinds:
            bell = self.bells[kind]
            # Results lie in the bell of the index thread: they do not stand for news of others.
            rung = 0 if kind == INDEX else bell.qsize()
            for _ in range(self.workers.get(kind, 1) - rung):
                bell.put(None)


def _record_all(connection: Connection, events: Iterable[Event]) -> set[str]:
    now = time.time()
    kinds: set[str] = set()
    for kind, group in groupby(events, key=type):
        many = tuple(group)
        if kind is ModelFound:
            kinds |= record_found(connection, _only(ModelFound, many), now)
        elif kind is ModelRemoved:
            kinds |= record_removed(connection, _only(ModelRemoved, many), now)
        elif kind is ModelIndexed:
            kinds |= record_indexed(connection, _only(ModelIndexed, many), now)
        else:
            for event in many:
                kinds |= record(connection, event, now)
    return kinds


def _only(kind: type[E], events: Iterable[Event]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]


def _close(connection: Connection, row: JobRow, outcome: Outcome, now: float) -> str | None:
    if outcome.interrupted:
        jobs.release(connection, row.id, now)
        return None
    if outcome.put_off is not None:
        jobs.put_off(connection, row.id, now, outcome.put_off)
        return None
    if outcome.trouble is None:
        return jobs.finish(connection, row.id, now)
    if outcome.retry_in is not None:
        jobs.retry_later(
            connection,
            row.id,
            outcome.trouble,
            now,
            outcome.retry_in,
            attempts=_attempts(row, outcome),
            mismatched=outcome.mismatched,
        )
        return None
    jobs.fail(connection, row.id, outcome.trouble, now)
    return None


def _attempts(row: JobRow, outcome: Outcome) -> int | None:
    """Return how many tries count from now on; ``None`` for one more than before."""
    if outcome.uncounted:
        return row.attempts
    return 1 if outcome.progressed else None
