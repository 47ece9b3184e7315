from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest

from comfywatchman.domain.errors import Interrupted, RateLimited, SourceUnavailable
from comfywatchman.net.manners import Breaking, Manners, Pace

HOST = "hub.example"


@dataclass
class Clock(threading.Event):
    """Time that passes only while somebody waits for it."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def __call__(self) -> float:
        return self.now

    def wait(self, timeout: float | None = None) -> bool:
        self.slept.append(timeout or 0.0)
        self.now += timeout or 0.0
        return self.is_set()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def manners(clock: Clock, *rates: tuple[int, float]) -> Manners:
    paces = {HOST: Pace(rates)} if rates else {}
    return Manners(paces, stop=clock, breaking=Breaking(3, 10.0, 40.0), clock=clock)


def test_no_more_than_the_pace_allows_in_any_second(clock: Clock) -> None:
    mind = manners(clock, (5, 1.0))
    asked = []
    for _ in range(23):
        mind.before(HOST)
        asked.append(clock.now)

    for moment in asked:
        assert sum(moment <= other < moment + 1.0 for other in asked) <= 5
    assert clock.now - 1000.0 < 6.0


def test_who_would_wait_long_is_told_when_to_come_again(clock: Clock) -> None:
    mind = manners(clock, (2, 3600.0))
    mind.before(HOST)
    mind.before(HOST)

    with pytest.raises(RateLimited) as told:
        mind.before(HOST)

    assert told.value.retry_after == pytest.approx(3600, abs=2)
    assert clock.slept == []


def test_an_unknown_host_is_asked_at_any_pace(clock: Clock) -> None:
    mind = manners(clock)
    for _ in range(500):
        mind.before("storage.example")

    assert clock.slept == []


def test_a_host_that_wants_quiet_gets_it_from_everybody(clock: Clock) -> None:
    mind = manners(clock)
    mind.answered(HOST, 429, 30.0)

    with pytest.raises(RateLimited) as told:
        mind.before(HOST)
    mind.before("other.example")

    assert told.value.retry_after == 30.0
    clock.now += 30.0
    mind.before(HOST)


def test_a_short_quiet_is_slept_through(clock: Clock) -> None:
    mind = manners(clock)
    mind.answered(HOST, 503, 2.0)

    mind.before(HOST)

    assert clock.now == 1002.0


def test_nobody_is_left_alone_for_longer_than_an_hour(clock: Clock) -> None:
    mind = manners(clock)
    mind.answered(HOST, 429, 9_999_999.0)

    with pytest.raises(RateLimited) as told:
        mind.before(HOST)

    assert told.value.retry_after == 3600.0


def test_after_a_refusal_it_is_asked_half_as_often_and_faster_again_in_time(clock: Clock) -> None:
    mind = manners(clock, (8, 1.0))

    def in_a_second() -> int:
        began, count = clock.now, 0
        while True:
            mind.before(HOST)
            if clock.now >= began + 1.0:
                return count
            mind.answered(HOST, 200)
            count += 1

    assert in_a_second() == 8
    mind.answered(HOST, 429, 1.0)
    clock.now += 1.0
    assert in_a_second() <= 4
    for _ in range(200):
        mind.answered(HOST, 200)
    clock.now += 1.0
    assert in_a_second() >= 7


def test_the_breaker_opens_tries_once_and_closes(clock: Clock) -> None:
    mind = manners(clock)
    for _ in range(3):
        assert not mind.open_breakers().get(HOST)
        mind.before(HOST)
        mind.failed(HOST)

    assert mind.open_breakers() == {HOST: True}
    with pytest.raises(SourceUnavailable) as told:
        mind.before(HOST)
    assert told.value.retry_after == 10.0

    clock.now += 10.0
    mind.before(HOST)  # the one that tries
    with pytest.raises(SourceUnavailable):
        mind.before(HOST)
    mind.answered(HOST, 200)

    assert mind.open_breakers() == {HOST: False}
    mind.before(HOST)


def test_each_failed_try_doubles_the_rest_up_to_a_limit(clock: Clock) -> None:
    mind = manners(clock)
    for _ in range(3):
        mind.answered(HOST, 500)
    rests = []
    for _ in range(4):
        with pytest.raises(SourceUnavailable) as told:
            mind.before(HOST)
        rests.append(told.value.retry_after)
        clock.now += told.value.retry_after or 0.0
        mind.before(HOST)
        mind.failed(HOST)

    assert rests == [10.0, 20.0, 40.0, 40.0]


@pytest.mark.parametrize("status", [200, 302, 401, 403, 404, 416, 501])
def test_an_answer_that_is_no_failure_keeps_it_closed(clock: Clock, status: int) -> None:
    mind = manners(clock)
    for _ in range(9):
        mind.failed(HOST)
        mind.failed(HOST)
        mind.answered(HOST, status)

    assert mind.open_breakers() == {HOST: False}


def test_a_request_that_was_refused_here_does_not_block_the_next_try(clock: Clock) -> None:
    mind = manners(clock)
    for _ in range(3):
        mind.failed(HOST)
    clock.now += 10.0
    mind.before(HOST)

    mind.gave_up(HOST)

    mind.before(HOST)


def test_stopping_interrupts_who_waits_for_a_turn(clock: Clock) -> None:
    mind = manners(clock, (1, 1.0))
    mind.before(HOST)
    clock.set()

    with pytest.raises(Interrupted):
        mind.before(HOST)


def test_the_number_of_hosts_is_bounded(clock: Clock) -> None:
    mind = manners(clock)
    for number in range(1000):
        mind.answered(f"{number}.example", 200)

    assert len(mind.open_breakers()) <= 256


def test_threads_share_one_budget(clock: Clock) -> None:
    mind = manners(clock, (50, 3600.0))
    refused: list[str] = []

    def ask() -> None:
        for _ in range(20):
            try:
                mind.before(HOST)
            except RateLimited as error:
                refused.append(error.code)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert len(refused) == 30
