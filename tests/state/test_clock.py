"""What waits for a time, when the clock is set to another one."""

from __future__ import annotations

from comfywatchman.domain.jobs import ResolveReference
from comfywatchman.state import clock, deliveries, jobs
from comfywatchman.state.keeper import Keeper, Reader
from tests.state.rows import TROUBLE

NOW = 1_000_000.0
HOUR = 3600.0


def put_off(keeper: Keeper, name: str, delay: float) -> int:
    """Have a search wait for so many seconds; return its number."""
    job = ResolveReference("loras", name)
    keeper.write(lambda c: jobs.enqueue(c, [job], NOW))
    row = keeper.write(lambda c: jobs.claim(c, job.kind, NOW))
    assert row is not None
    keeper.write(lambda c: jobs.retry_later(c, row.id, TROUBLE, NOW, delay))
    return row.id


def due(reader: Reader, number: int) -> float:
    row = reader.read(lambda c: jobs.one(c, number))
    assert row is not None
    return row.not_before


def test_what_waits_is_due_as_soon_when_the_clock_is_set_back(
    keeper: Keeper, reader: Reader
) -> None:
    soon, later = put_off(keeper, "soon", 60.0), put_off(keeper, "later", 900.0)
    keeper.write(lambda c: clock.stepped(c, -HOUR, NOW - HOUR + 100.0))

    assert due(reader, soon) == NOW - HOUR + 100.0, "it has been due since"
    assert due(reader, later) == NOW - HOUR + 900.0


def test_what_waits_is_due_when_the_clock_shows_it_if_that_is_set_forward(
    keeper: Keeper, reader: Reader
) -> None:
    later = put_off(keeper, "later", 900.0)
    keeper.write(lambda c: clock.stepped(c, HOUR, NOW + HOUR))

    assert due(reader, later) == NOW + 900.0


def test_a_notice_is_not_given_up_for_time_that_the_machine_slept(
    keeper: Keeper, reader: Reader
) -> None:
    keeper.write(lambda c: deliveries.add(c, "msg_1", "hook", "a.b", b"{}", NOW))
    keeper.write(lambda c: clock.stepped(c, 48 * HOUR, NOW + 48 * HOUR))
    (row,) = reader.read(lambda c: deliveries.due(c, "hook", NOW + 49 * HOUR))

    assert row.created_at == NOW + 48 * HOUR


def test_what_a_clock_that_was_wrong_put_off_for_years_is_done_at_the_start(
    keeper: Keeper, reader: Reader
) -> None:
    soon, never = put_off(keeper, "soon", 900.0), put_off(keeper, "never", 10 * 365 * 24 * HOUR)
    keeper.write(lambda c: clock.none_later(c, NOW))

    assert due(reader, soon) == NOW + 900.0
    assert due(reader, never) == 0.0
