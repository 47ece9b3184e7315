"""One budget for every process that asks a host."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfywatchman.domain.errors import RateLimited, SourceUnavailable
from comfywatchman.net.manners import Breaking, Manners, Pace
from comfywatchman.state.answers import Answers
from comfywatchman.state.turns import Turns

HOST = "hub.example"
RATES = ((2, 1.0), (6, 60.0))


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def turns(tmp_path: Path) -> Turns:
    """As another process would open it."""
    return Turns(Answers(tmp_path / "answers.sqlite3", 1 << 20))


def test_two_processes_have_one_budget(tmp_path: Path) -> None:
    first, second = turns(tmp_path), turns(tmp_path)

    taken = [book.reserve(HOST, RATES, 1000.0, 60.0) for book in (first, second, first, second)]

    assert taken == pytest.approx([0.0, 0.0, 0.5, 1.0])


def test_a_turn_that_is_too_far_away_is_not_taken(tmp_path: Path) -> None:
    book = turns(tmp_path)
    for _ in range(6):
        book.reserve(HOST, RATES, 1000.0, 60.0)

    assert book.reserve(HOST, RATES, 1000.0, 5.0) is None
    assert book.reserve(HOST, RATES, 1000.0, 60.0) == pytest.approx(10.0)
    assert book.reserve(HOST, RATES, 1100.0, 5.0) == 0.0


def test_what_is_from_before_the_machine_was_started_anew_does_not_count(tmp_path: Path) -> None:
    book = turns(tmp_path)
    for _ in range(6):
        book.reserve(HOST, RATES, 900_000.0, 60.0)
    book.be_quiet(HOST, 900_300.0, "limited")

    assert book.reserve(HOST, RATES, 10.0, 5.0) == 0.0
    assert book.quiet(HOST, 10.0) is None
    assert book.quiet(HOST, 900_000.0) == (300.0, "limited")


def manners(tmp_path: Path, clock: Clock) -> Manners:
    return Manners(
        {HOST: Pace(RATES)},
        breaking=Breaking(after=2, first_seconds=30.0),
        clock=clock,
        book=turns(tmp_path),
    )


def test_a_host_that_asked_one_process_to_wait_is_left_alone_by_all(tmp_path: Path) -> None:
    clock = Clock()
    first, second = manners(tmp_path, clock), manners(tmp_path, clock)
    first.before(HOST)
    first.answered(HOST, 429, 400.0)

    with pytest.raises(RateLimited) as told:
        second.before(HOST)
    assert told.value.retry_after == pytest.approx(400.0)
    clock.now += 401
    second.before(HOST)


def test_a_host_that_failed_one_process_is_left_alone_by_all_until_it_is_back(
    tmp_path: Path,
) -> None:
    clock = Clock()
    first, second = manners(tmp_path, clock), manners(tmp_path, clock)
    first.failed(HOST)
    first.failed(HOST)

    with pytest.raises(SourceUnavailable):
        second.before(HOST)
    clock.now += 31
    first.before(HOST)
    first.answered(HOST, 200)
    second.before(HOST)


def test_a_cache_that_cannot_be_used_holds_up_nobody(tmp_path: Path) -> None:
    book = turns(tmp_path)
    book.answers.close()

    assert book.reserve(HOST, RATES, 1000.0, 5.0) in {0.0, None}
    assert book.quiet(HOST, 1000.0) is None
