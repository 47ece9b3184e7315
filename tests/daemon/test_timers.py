"""The clock's part."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta

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


def test_what_is_due_every_so_often_is_due_as_soon_when_the_clock_is_set_back() -> None:
    at = [(10_000.0, 50.0)]
    timers = Timers((Timer("hourly", 3600.0, lambda: None),), {}, lambda: at[0])
    timers.start()
    try:
        before = _left(timers)
        at[0] = (10_005.0, 55.0)
        timers.look_at_the_clock()
        same = _left(timers)
        at[0] = (9_000.0, 60.0)  # 1,010 s back
        timers.look_at_the_clock()
        sooner = _left(timers)
        at[0] = (99_000.0, 65.0)
        timers.look_at_the_clock()
        ahead = _left(timers)
    finally:
        timers.stop()

    assert abs(before - same) < 60
    assert 1000 < same - sooner < 1070, "the moment is the same, and the clock shows an earlier one"
    assert abs(ahead - sooner) < 60, "a clock that is ahead makes it due by itself"


def _left(timers: Timers) -> float:
    left = timers.next_run("hourly")
    assert left is not None
    return left.total_seconds()
