"""A thread that carries out jobs, whatever they do to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Connection, text

from comfywatchman.daemon.workers import Worker
from comfywatchman.domain.errors import SourceMissing
from comfywatchman.domain.jobs import ResolveReference
from comfywatchman.domain.messages import JobFailed, ModelRemoved
from comfywatchman.pipeline.desk import Outcome
from comfywatchman.state import jobs
from comfywatchman.state.jobs import JobRow
from tests.pipeline.office import Office
from tests.state.rows import TROUBLE

LIMIT = 30.0


@dataclass
class Hands:
    """A step that does as a test says, and can be waited for."""

    does: Callable[[JobRow], Outcome]
    done: list[str] = field(default_factory=list)
    news: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def step(self, row: JobRow) -> Outcome:
        try:
            return self.does(row)
        finally:
            self.done.append(row.key)
            self.news.release()

    def wait_for(self, count: int) -> None:
        for _ in range(count):
            assert self.news.acquire(timeout=LIMIT)


@contextmanager
def working(office: Office, hands: Hands) -> Iterator[Worker]:
    stop = threading.Event()
    worker = Worker("resolve", "resolve", hands.step, office.desk, stop, pause_seconds=0.05)
    worker.start()
    try:
        yield worker
    finally:
        stop.set()
        office.desk.ring("resolve")
        worker.join(LIMIT)
        assert not worker.is_alive()


def ask(office: Office, *names: str) -> list[ResolveReference]:
    asked = [ResolveReference("loras", name) for name in names]
    office.desk.submit(asked)
    return asked


def until(look: Callable[[], bool]) -> None:
    """Wait for something that no event tells."""
    waiting = threading.Event()
    for _ in range(int(LIMIT / 0.02)):
        if look():
            return
        waiting.wait(0.02)
    raise AssertionError("it did not come")


def states(office: Office) -> list[str]:
    rows = office.reader.read(jobs.listed)
    return [row.state for row in sorted(rows, key=lambda row: row.id)]


def test_jobs_are_done_one_after_the_other(office: Office) -> None:
    hands = Hands(lambda _row: Outcome())
    ask(office, "a", "b")
    with working(office, hands):
        hands.wait_for(2)
        ask(office, "c")
        hands.wait_for(1)
        until(lambda: states(office) == [jobs.DONE] * 3)

    assert hands.done == ["loras/a", "loras/b", "loras/c"]


def test_an_error_that_a_step_lets_out_ends_its_job_with_the_reason(office: Office) -> None:
    error = SourceMissing("It is not there.", remedy="Look elsewhere.")

    def step(_row: JobRow) -> Outcome:
        raise error

    (job,) = ask(office, "a")
    with working(office, Hands(step)):
        until(lambda: states(office) == [jobs.FAILED])

    assert office.row(job).trouble == error.trouble()


def test_a_bug_in_one_job_ends_neither_the_thread_nor_the_other_jobs(office: Office) -> None:
    def step(row: JobRow) -> Outcome:
        if row.key == "loras/bug":
            raise ZeroDivisionError
        return Outcome()

    job, _ = ask(office, "bug", "good")
    with working(office, Hands(step)) as worker:
        until(lambda: states(office) == [jobs.WAITING, jobs.DONE])
        assert worker.is_alive()

    row = office.row(job)
    assert (row.crashes, row.trouble and row.trouble.code) == (1, "internal-error")
    assert [type(event) for event in office.told] == [JobFailed]


def test_what_cannot_be_stored_counts_as_a_bug_of_its_job(office: Office) -> None:
    unstorable = Outcome((ModelRemoved(5),))  # type: ignore[arg-type]  # the bug of this test

    def step(row: JobRow) -> Outcome:
        return unstorable if row.key == "loras/bug" else Outcome()

    job, _ = ask(office, "bug", "good")
    with working(office, Hands(step)):
        until(lambda: states(office) == [jobs.WAITING, jobs.DONE])

    assert office.row(job).crashes == 1


def test_what_a_job_came_to_is_kept_until_the_disk_has_room(office: Office) -> None:
    pages: int = office.keeper.write(lambda c: c.execute(text("PRAGMA page_count")).scalar_one())
    many = Outcome(jobs=tuple(ResolveReference("vae", "x" * 500 + str(n)) for n in range(200)))
    hands = Hands(lambda row: many if row.key == "loras/a" else Outcome())
    (job,) = ask(office, "a")
    office.keeper.write(lambda c: limit(c, pages + 2))
    with working(office, hands):
        hands.wait_for(1)
        until(lambda: office.row(job).state == jobs.RUNNING)
        office.keeper.write(lambda c: limit(c, pages + 10_000))
        until(lambda: office.row(job).state == jobs.DONE)
        until(lambda: set(states(office)) == {jobs.DONE})

    assert hands.done.count("loras/a") == 1
    assert len(hands.done) == 201


def limit(connection: Connection, pages: int) -> None:
    """Make SQLite answer as on a full disk when the file would grow over so many pages."""
    connection.execute(text(f"PRAGMA max_page_count = {pages}"))


def test_a_job_that_waits_for_its_time_is_done_then(office: Office) -> None:
    def step(row: JobRow) -> Outcome:
        return Outcome(trouble=TROUBLE, retry_in=0.1) if row.attempts == 0 else Outcome()

    hands = Hands(step)
    ask(office, "a")
    with working(office, hands):
        until(lambda: states(office) == [jobs.DONE])

    assert hands.done == ["loras/a", "loras/a"]


def test_with_nothing_to_do_the_thread_rests_and_shows_that_it_lives(office: Office) -> None:
    rests = threading.Semaphore(0)
    stop = threading.Event()
    worker = Worker(
        "resolve",
        "resolve",
        lambda _row: Outcome(),
        office.desk,
        stop,
        when_idle=rests.release,
    )
    before = worker.heartbeat
    worker.start()
    assert rests.acquire(timeout=LIMIT)
    office.desk.ring("resolve")
    assert rests.acquire(timeout=LIMIT)
    stop.set()
    office.desk.ring("resolve")
    worker.join(LIMIT)

    assert worker.heartbeat > before
