"""A thread and its bell: takes a job, carries it out, gives it back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from comfywatchman.daemon.failures import tell_failure
from comfywatchman.domain.errors import InternalError, WatchmanError
from comfywatchman.pipeline.desk import Desk, Outcome
from comfywatchman.state.jobs import JobRow

Step = Callable[[JobRow], Outcome]

_DISK_PAUSE = 5.0


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
        per_host: int | None = None,
        when_idle: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._kind = kind
        self._step = step
        self._desk = desk
        self._stop_event = stop
        self._per_host = per_host
        self._when_idle = when_idle
        self.heartbeat = time.time()
        """Seconds since the epoch; when this thread was last seen between two jobs."""

    def run(self) -> None:
        log = structlog.get_logger("worker")
        while not self._stop_event.is_set():
            self.heartbeat = time.time()
            try:
                busy = self._one(log)
            except Exception as error:  # noqa: BLE001 - the state itself cannot be read or written
                tell_failure(self._kind, error)
                self._stop_event.wait(_DISK_PAUSE)
                continue
            if not busy and not self._stop_event.is_set():
                if self._when_idle is not None:
                    self._when_idle()
                self._desk.wait(self._kind)

    def _one(self, log: structlog.stdlib.BoundLogger) -> bool:
        row = self._desk.take(self._kind, per_host=self._per_host)
        if row is None:
            return False
        try:
            outcome = self._step(row)
        except WatchmanError as error:
            outcome = Outcome(trouble=error.trouble())
        except Exception:
            # A bug in one job ends neither the thread nor the other jobs.
            log.exception("job.crashed", job=row.id, kind=row.kind, key=row.key)
            bug = InternalError(
                f"A bug was met in a {row.kind} job for {row.key}.",
                remedy="See the traceback in the log, and report it.",
            )
            self._desk.crashed(row, bug.trouble())
            return True
        self._desk.give_back(row, outcome)
        return True
