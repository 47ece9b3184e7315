"""A thread and its bell: takes a job, carries it out, gives it back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

import structlog

from comfywatchman.daemon.failures import Failures
from comfywatchman.domain.errors import InternalError, WatchmanError
from comfywatchman.pipeline.desk import Desk, Outcome
from comfywatchman.state.jobs import JobRow

Step = Callable[[JobRow], Outcome]

DISK_PAUSE_SECONDS = 5.0
"""How long a thread leaves a state alone that cannot be written."""


class Worker(threading.Thread):
    """Carries out the jobs of one kind, one at a time, until told to stop."""

    def __init__(
        self,
        name: str,
        kind: str,
        step: Step,
        desk: Desk,
        stop: threading.Event,
        *,
        when_idle: Callable[[], None] | None = None,
        pause_seconds: float = DISK_PAUSE_SECONDS,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._kind = kind
        self._step = step
        self._desk = desk
        self._stop_event = stop
        self._when_idle = when_idle
        self._pause_seconds = pause_seconds
        self._failures = Failures(kind)
        self._undone: Callable[[], None] | None = None
        """What could not be stored about the last job: no other is taken before."""
        self.heartbeat = time.time()
        """Seconds since the epoch; when this thread was last seen between two jobs."""

    def run(self) -> None:
        while not self._stop_event.is_set():
            self.heartbeat = time.time()
            try:
                if not self._one() and not self._stop_event.is_set():
                    self._rest()
                self._failures.passed()
            except Exception as error:  # noqa: BLE001 - the state itself cannot be read or written
                self._failures.met(error)
                self._stop_event.wait(self._pause_seconds)

    def _rest(self) -> None:
        if self._when_idle is not None:
            self._when_idle()
        self._desk.wait(self._kind)

    def _one(self) -> bool:
        """Do one job; return whether there was one.

        Raises:
            WatchmanError: the state cannot be written; what became of the job is kept for later.
        """
        if self._undone is None:
            row = self._desk.take(self._kind)
            if row is None:
                return False
            self._undone = self._carried_out(row)
        self._undone()
        self._undone = None
        return True

    def _carried_out(self, row: JobRow) -> Callable[[], None]:
        """Do what *row* asks for, and return what stores what became of it."""
        try:
            outcome = self._step(row)
        except WatchmanError as error:
            outcome = Outcome(trouble=error.trouble())
        except Exception as error:  # noqa: BLE001 - a bug ends neither the thread nor other jobs
            return self._set_back(row, error)
        return partial(self._store, row, outcome)

    def _store(self, row: JobRow, outcome: Outcome) -> None:
        try:
            self._desk.give_back(row, outcome)
        except WatchmanError:
            raise
        except Exception as error:  # noqa: BLE001 - as above: what it came to cannot be stored
            self._undone = self._set_back(row, error)
            self._undone()

    def _set_back(self, row: JobRow, error: Exception) -> Callable[[], None]:
        """Log a bug, and return what counts it against the job."""
        log = structlog.get_logger("worker")
        log.error("job.crashed", job=row.id, kind=row.kind, key=row.key, exc_info=error)
        bug = InternalError(
            f"A bug was met in a {row.kind} job for {row.key}.",
            remedy="See the traceback in the log, and report it.",
        )
        return partial(self._desk.crashed, row, bug.trouble())
