"""The clock's part."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from typing import Self

import pytest

from comfywatchman.daemon.timers import CATCH_UP_SECONDS, Timer, Timers

DAY = 86_400.0
LIMIT = 30.0


def test_a_timer_runs_again_and_again_on_one_thread_until_it_is_stopped() -> None:
    ticks = threading.Semaphore(0)
    threads: set[str] = set()

    def tick() -> None:
        threads.add(threading.current_thread().name)
        ticks.release()

    timers = Timers((Timer("tick", 0.05, tick),), {"tick": 0.0})
    timers.start()
    for _ in range(3):
        assert ticks.acquire(timeout=LIMIT)
    timers.stop()

    assert len(threads) == 1


def test_what_was_due_while_we_did_not_run_is_done_once_and_at_once() -> None:
    ticks = threading.Semaphore(0)
    day = 86_400.0
    timers = Timers((Timer("daily", day, ticks.release),), {"daily": time.time() - 10 * day})
    timers.start()
    try:
        assert ticks.acquire(timeout=LIMIT)
        left = timers.next_run("daily")
    finally:
        timers.stop()

    assert not ticks.acquire(blocking=False)
    assert left is not None
    assert day - 60 < left.total_seconds() <= day


def test_a_restart_does_not_begin_to_count_anew() -> None:
    hour = 3600.0
    timers = Timers((Timer("hourly", hour, lambda: None),), {"hourly": time.time() - hour / 2})
    timers.start()
    try:
        left = timers.next_run("hourly")
    finally:
        timers.stop()

    assert left is not None
    assert abs(left.total_seconds() - hour / 2) < 30
    assert timers.next_run("nobody") is None


def test_a_timer_that_fails_does_not_stop_the_others() -> None:
    ticks = threading.Semaphore(0)

    def fail() -> None:
        raise ZeroDivisionError

    timers = Timers(
        (Timer("bad", 0.05, fail), Timer("good", 0.05, ticks.release)), {"bad": 0.0, "good": 0.0}
    )
    timers.start()
    try:
        for _ in range(3):
            assert ticks.acquire(timeout=LIMIT)
    finally:
        timers.stop()


def due_in(timer: Timer, last: dict[str, float]) -> float:
    timers = Timers((timer,), last)
    timers.start()
    try:
        left = timers.next_run(timer.name)
    finally:
        timers.stop()
    assert left is not None
    return left.total_seconds()


def test_a_daily_timer_waits_for_its_hour_of_local_time() -> None:
    soon = datetime.now().astimezone() + timedelta(hours=2)
    due = soon.replace(minute=0, second=0, microsecond=0)
    left = due_in(Timer("nightly", DAY, lambda: None, hour=due.hour), {})

    assert abs(left - (due - datetime.now().astimezone()).total_seconds()) < 60


def test_a_night_that_was_missed_is_made_up_for_soon_after_the_start() -> None:
    hour = (datetime.now().astimezone() + timedelta(hours=5)).hour
    left = due_in(
        Timer("nightly", DAY, lambda: None, hour=hour), {"nightly": time.time() - 3 * DAY}
    )

    assert 0 < left <= CATCH_UP_SECONDS


HOUR = 3600.0
TODAY = datetime(2026, 11, 22, 12, 0, tzinfo=UTC).timestamp()


@dataclass
class Sky:
    """The clocks, as a test has them go."""

    of_day: float = TODAY
    steady: float = 1000.0

    def __call__(self) -> tuple[float, float]:
        return self.of_day, self.steady


@dataclass
class Sim:
    """Timers whose thread is the test: hours pass in a moment."""

    sky: Sky
    timers: Timers
    ran: Counter[str]
    steps: list[float]

    def pass_(self, seconds: float, piece: float = 5.0) -> Counter[str]:
        """Let *seconds* pass, and return what ran meanwhile."""
        before = self.ran.copy()
        for _ in range(int(seconds / piece)):
            self.sky.of_day += piece
            self.sky.steady += piece
            self.timers.look_at_the_clock()
            self.timers._scheduler._process_jobs()
        return self.ran - before


@pytest.fixture
def sim(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sim]:
    sky = Sky()

    class Now(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromtimestamp(sky.of_day, tz)

    monkeypatch.setattr("apscheduler.schedulers.base.datetime", Now)
    ran: Counter[str] = Counter()
    steps: list[float] = []
    every = {"quick": 10.0, "hourly": HOUR, "daily": DAY}
    made = tuple(
        Timer(name, seconds, partial(_count, ran, name)) for name, seconds in every.items()
    )
    timers = Timers(made, {}, sky, steps.append)
    timers._scheduler._main_loop = lambda: None
    timers._scheduler.start()
    yield Sim(sky, timers, ran, steps)
    timers.stop()


def _count(ran: Counter[str], name: str) -> None:
    ran[name] += 1


AHEAD = {
    "two hours asleep": 2 * HOUR,
    "a month asleep": 30 * DAY,
    "an hour ahead": HOUR,
    "from 1970 to today": 56 * 365 * DAY,
}


@pytest.mark.parametrize("step", AHEAD.values(), ids=AHEAD)
def test_what_came_due_while_the_clock_jumped_is_done_once_and_within_a_minute(
    sim: Sim, step: float
) -> None:
    sim.pass_(600.0)
    sim.sky.of_day += step
    first = sim.pass_(5.0)
    rest = sim.pass_(55.0)
    hour = sim.pass_(HOUR)

    assert (first["quick"], first["hourly"], first["daily"]) == (1, 1, int(step >= DAY))
    assert 5 <= rest["quick"] <= 6
    assert rest["hourly"] == rest["daily"] == 0
    assert (hour["hourly"], hour["daily"]) == (1, 0)
    assert sim.steps == [pytest.approx(step)]


BACK = {"an hour back": HOUR, "back to 1970": 56 * 365 * DAY}


@pytest.mark.parametrize("step", BACK.values(), ids=BACK)
def test_a_clock_that_is_set_back_holds_nothing_up_and_repeats_nothing(
    sim: Sim, step: float
) -> None:
    sim.pass_(600.0)
    sim.sky.of_day -= step
    minute = sim.pass_(60.0)
    hour = sim.pass_(HOUR)
    day = sim.pass_(DAY, 60.0)

    assert 6 <= minute["quick"] <= 7
    assert (minute["hourly"], minute["daily"]) == (0, 0)
    assert hour["hourly"] == 1
    assert (day["hourly"], day["daily"]) == (24, 1)
    assert sim.steps == [pytest.approx(-step)]


def test_who_sleeps_until_the_next_timer_is_woken_when_the_clock_jumped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asleep = [0.0]

    class Now(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromtimestamp(time.time() + asleep[0], tz)

    monkeypatch.setattr("apscheduler.schedulers.base.datetime", Now)
    ticks = threading.Semaphore(0)
    timers = Timers(
        (Timer("hourly", HOUR, ticks.release),),
        {"hourly": time.time()},
        lambda: (time.time() + asleep[0], time.monotonic()),
    )
    timers.start()
    try:
        assert not ticks.acquire(timeout=0.2)
        asleep[0] = 2 * HOUR
        timers.look_at_the_clock()
        assert ticks.acquire(timeout=LIMIT)
    finally:
        timers.stop()


def test_a_timer_that_hangs_does_not_hold_up_the_end() -> None:
    hangs, over = threading.Event(), threading.Event()

    def hang() -> None:
        hangs.set()
        over.wait(LIMIT)

    timers = Timers((Timer("hung", 10.0, hang),), {"hung": 0.0})
    timers.start()
    assert hangs.wait(LIMIT)
    began = time.monotonic()
    timers.stop()
    took = time.monotonic() - began
    over.set()

    assert took < LIMIT / 2
