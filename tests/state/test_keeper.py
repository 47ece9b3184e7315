"""One thread, one connection, one transaction at a time."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from comfywatchman.domain.errors import DiskFailed, DiskFull
from comfywatchman.domain.jobs import ResolveReference
from comfywatchman.state import jobs, store
from comfywatchman.state.keeper import Keeper, Reader
from tests.state.rows import make_unwritable


class BugError(Exception):
    pass


def put(connection: Connection, name: str) -> None:
    jobs.enqueue(connection, [ResolveReference("loras", name)], 1.0)


def test_what_was_written_is_seen_by_a_reader(keeper: Keeper, reader: Reader) -> None:
    keeper.write(lambda c: put(c, "a"))

    assert reader.read(jobs.open_jobs) == 1


def test_a_change_that_raises_leaves_nothing_behind(keeper: Keeper, reader: Reader) -> None:
    def change(connection: Connection) -> None:
        put(connection, "a")
        raise BugError

    with pytest.raises(BugError):
        keeper.write(change)

    assert reader.read(jobs.open_jobs) == 0
    keeper.write(lambda c: put(c, "b"))
    assert reader.read(jobs.open_jobs) == 1


def test_who_rests_closes_what_nobody_uses_and_goes_on_when_there_is_something(
    keeper: Keeper, reader: Reader
) -> None:
    keeper.write(lambda c: put(c, "a"))
    with reader.connect() as used:
        assert jobs.open_jobs(used) == 1
        reader.rest()
        assert jobs.open_jobs(used) == 1
    assert reader._engine.pool.checkedin() == 1  # type: ignore[attr-defined]  # it is a QueuePool
    keeper.rest()
    reader.rest()

    assert reader._engine.pool.checkedin() == 0  # type: ignore[attr-defined]  # as above
    keeper.write(lambda c: put(c, "b"))
    assert reader.read(jobs.open_jobs) == 2


def test_a_reader_sees_a_transaction_whole_or_not_at_all(keeper: Keeper, reader: Reader) -> None:
    half, go_on = threading.Event(), threading.Event()

    def change(connection: Connection) -> None:
        put(connection, "a")
        half.set()
        assert go_on.wait(30)
        put(connection, "b")

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(keeper.write, change)
        assert half.wait(30)
        seen = reader.read(jobs.open_jobs)
        go_on.set()
        writing.result(30)

    assert seen == 0
    assert reader.read(jobs.open_jobs) == 2


def test_many_threads_write_one_after_the_other(keeper: Keeper, reader: Reader) -> None:
    inside: list[str] = []

    def change(connection: Connection, name: str) -> str:
        inside.append(name)
        put(connection, name)
        assert inside == [name]
        inside.clear()
        return threading.current_thread().name

    with ThreadPoolExecutor(8) as pool:
        threads = set(pool.map(lambda n: keeper.write(lambda c: change(c, str(n))), range(100)))

    assert len(threads) == 1
    assert threads.pop().startswith("keeper")
    assert reader.read(jobs.open_jobs) == 100


def test_the_connection_works_on_no_other_thread(keeper: Keeper) -> None:
    smuggled = keeper.write(lambda connection: connection)

    with pytest.raises(Exception, match="thread") as refused:
        smuggled.execute(text("SELECT 1"))
    assert isinstance(refused.value.__cause__ or refused.value, sqlite3.ProgrammingError)
    keeper.write(lambda c: put(c, "a"))


def test_closing_finishes_what_was_asked_for(tmp_path: Path) -> None:
    keeper = store.open_keeper(tmp_path)
    begun = threading.Event()

    def slow(connection: Connection) -> None:
        begun.set()
        for number in range(200):
            put(connection, str(number))

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(keeper.write, slow)
        assert begun.wait(30)
        keeper.close()
        writing.result(30)

    reader = store.open_reader(tmp_path)
    assert reader is not None
    assert reader.read(jobs.open_jobs) == 200
    reader.close()


def test_a_full_disk_is_told_and_work_goes_on_when_there_is_room(
    keeper: Keeper, reader: Reader
) -> None:
    """SQLite's own limit of pages gives the very error that a full volume gives."""

    def limit(connection: Connection, pages: int) -> None:
        connection.execute(text(f"PRAGMA max_page_count = {pages}"))

    many = [ResolveReference("loras", "x" * 500 + str(number)) for number in range(200)]
    keeper.write(lambda c: put(c, "before"))
    pages: int = keeper.write(lambda c: c.execute(text("PRAGMA page_count")).scalar_one())
    keeper.write(lambda c: limit(c, pages))

    with pytest.raises(DiskFull) as full:
        keeper.write(lambda c: jobs.enqueue(c, many, 1.0))

    assert "state database" in full.value.cause
    assert reader.read(jobs.open_jobs) == 1
    keeper.write(lambda c: limit(c, pages + 1000))
    keeper.write(lambda c: put(c, "after"))
    assert reader.read(jobs.open_jobs) == 2


def test_a_disk_that_cannot_be_written_is_told_with_a_remedy(
    keeper: Keeper, reader: Reader
) -> None:
    make_unwritable(keeper, unwritable=True)

    with pytest.raises(DiskFailed) as failed:
        keeper.write(lambda c: put(c, "a"))

    assert failed.value.retryable
    make_unwritable(keeper, unwritable=False)
    keeper.write(lambda c: put(c, "b"))
    assert reader.read(jobs.open_jobs) == 1
