"""The clock's part: timers that only put something into an inbox."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog
from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from comfywatchman.daemon.failures import Failures

CLOCK_THREAD = "clock"
MISSED_SECONDS = 26 * 3600.0
"""A daily run that is so long ago was missed."""
CATCH_UP_SECONDS = 900.0
"""After the start, so that whoever starts the machine has it for a while."""


CLOCK_SECONDS = 5.0
"""How often the clock is looked at."""
STOP_SECONDS = 1.0
STEP_SECONDS = 2.0
"""What is less was set by steps too small to matter, as those who keep the clock right do it."""


@dataclass(frozen=True, slots=True)
class Timer:
    """Something to do every so often."""

    name: str
    seconds: float
    put: Callable[[], None]
    """Runs on the scheduler's thread, so it only puts."""
    jitter: float = 0.0
    """Seconds by which a run may come earlier or later."""
    hour: int | None = None
    """Run once a day at this hour of local time, whatever *seconds* says."""


class Timers:
    """APScheduler with its traps closed.

    A run is never dropped for being late and never made up for more than once (the defaults
    dropped 8 of 12; daemon-facts 3); the times of the last runs are kept by the caller, so that
    a restart does not begin to count anew. It goes by the time of day, and would do nothing for an
    hour where that is set back by one: what is due every so often is then due that much sooner.
    Nor would it notice, before its next turn, that the clock went on while the machine slept.
    """

    def __init__(
        self,
        timers: tuple[Timer, ...],
        last: Mapping[str, float],
        clocks: Callable[[], tuple[float, float]] = lambda: (time.time(), time.monotonic()),
        on_step: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        """Make the *timers*; nothing runs yet.

        Args:
            timers: what to do when.
            last: when each of them ran last, seconds since the epoch.
            clocks: gives the time of day and that of a clock that nobody sets, in seconds.
            on_step: told by how many seconds the time of day was set, or went on during a sleep;
                negative where it was set back.
        """
        self._clocks = clocks
        self._on_step = on_step
        self._ahead = self._difference()
        self._ended = threading.Event()
        self._failures = Failures("clock")
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            # Timers only put, so they run on the scheduler's own thread and need no pool.
            executors={"default": DebugExecutor()},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )
        now, _ = clocks()
        for timer in timers:
            if timer.hour is not None:
                self._daily(timer, timer.hour, last.get(timer.name), now)
                continue
            due = max(now, last.get(timer.name, now) + timer.seconds)
            self._scheduler.add_job(
                timer.put,
                _Every(seconds=timer.seconds, jitter=timer.jitter or None, timezone=UTC),
                next_run_time=datetime.fromtimestamp(due, UTC),
                id=timer.name,
                replace_existing=True,
            )

    def _daily(self, timer: Timer, hour: int, last: float | None, now: float) -> None:
        """Have *timer* run at that hour, and soon where it was missed while we did not run."""
        local = datetime.fromtimestamp(now).astimezone()
        due = local.replace(hour=hour, minute=0, second=0, microsecond=0)
        due += timedelta(days=due <= local)
        if last is not None and now - last > MISSED_SECONDS:
            due = local + timedelta(seconds=CATCH_UP_SECONDS)
        self._scheduler.add_job(
            timer.put,
            "cron",
            hour=hour,
            minute=0,
            timezone=None,  # that of the machine, with its summer time
            jitter=timer.jitter or None,
            next_run_time=due,
            id=timer.name,
            replace_existing=True,
        )

    def start(self) -> None:
        self._scheduler.start()
        threading.Thread(target=self._watch_the_clock, name=CLOCK_THREAD, daemon=True).start()

    def stop(self) -> None:
        """End the timers; one that hangs is left behind after a second."""
        self._ended.set()
        # It waits for its thread, however little it is told to wait.
        ending = threading.Thread(
            target=partial(self._scheduler.shutdown, wait=False), name="untime", daemon=True
        )
        ending.start()
        ending.join(STOP_SECONDS)

    def look_at_the_clock(self) -> None:
        """Have what is due every so often due at the same moment though the clock was set back.

        A clock that was set forward, or that went on while the machine slept, makes it due at once.
        """
        ahead = self._difference()
        step, self._ahead = ahead - self._ahead, ahead
        if abs(step) < STEP_SECONDS:
            return
        if step < 0:
            structlog.get_logger("timers").warning("clock.stepped", seconds=step)
            self._bring_forward(-step)
        self._scheduler.wakeup()
        self._on_step(step)

    def _bring_forward(self, back: float) -> None:
        now = self._now()
        for job in self._scheduler.get_jobs():
            if job.next_run_time is None:
                continue
            if isinstance(job.trigger, IntervalTrigger):
                due = max(now, job.next_run_time - timedelta(seconds=back))
            else:
                due = job.trigger.get_next_fire_time(None, now)
            self._scheduler.modify_job(job.id, next_run_time=due)

    def _watch_the_clock(self) -> None:
        while not self._ended.wait(CLOCK_SECONDS):
            try:
                self.look_at_the_clock()
                self._failures.passed()
            except Exception as error:  # noqa: BLE001 - the thread outlives a full disk, or a bug
                self._failures.met(error)

    def _difference(self) -> float:
        """Return how far the time of day is ahead of the clock that nobody sets."""
        of_day, steady = self._clocks()
        return of_day - steady

    def next_run(self, name: str) -> timedelta | None:
        """Return how long until the timer *name* is due."""
        job = self._scheduler.get_job(name)
        if job is None or job.next_run_time is None:
            return None
        left: timedelta = job.next_run_time - self._now()
        return left

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clocks()[0], UTC)


class _Every(IntervalTrigger):  # type: ignore[misc]  # the library has no types
    """An interval whose missed times are not counted one by one.

    The library lists them all before it makes up for them once: 177 million for a clock that is
    set from 1970 to today, as where no battery keeps it.
    """

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        due: datetime | None = super().get_next_fire_time(previous_fire_time, now)
        if due is None or due > now:
            return due
        after: datetime | None = super().get_next_fire_time(now, now)
        return after
