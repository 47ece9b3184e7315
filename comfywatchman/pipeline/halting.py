"""Breaking off one transfer while the others go on: given up, out of hours, or in the way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_LOOK_EVERY = 1.0
_SLICE = 0.1

Why = str
"""``canceled``, ``hours``, ``urgent``, ``question`` or ``replaced``."""


class Halt(threading.Event):
    """Set when everything stops, or when this one transfer is to."""

    def __init__(self, everything: threading.Event, ask: Callable[[], Why | None]) -> None:
        """Prepare; *ask* is asked once a second whether there is a reason to stop."""
        super().__init__()
        self.why: Why | None = None
        """Why this one is to stop; ``None`` where everything is."""
        self._everything = everything
        self._ask = ask
        self._asked_at = time.monotonic()

    def stop(self, why: Why) -> None:
        self.why = self.why or why
        self.set()

    def is_set(self) -> bool:
        if self._everything.is_set() or super().is_set():
            return True
        now = time.monotonic()
        if now - self._asked_at < _LOOK_EVERY:
            return False
        self._asked_at = now
        why = self._ask()
        if why is not None:
            self.stop(why)
        return why is not None

    def wait(self, timeout: float | None = None) -> bool:
        end = None if timeout is None else time.monotonic() + timeout
        while not self.is_set():
            left = _SLICE if end is None else min(_SLICE, end - time.monotonic())
            if left <= 0:
                return False
            super().wait(left)
        return True


@dataclass(frozen=True, slots=True)
class Halts:
    """The transfers that are under way, so that each can be stopped by its job's number.

    Each call is one operation of a dictionary.
    """

    _halts: dict[int, Halt] = field(default_factory=dict)

    @contextmanager
    def over(self, job_id: int, halt: Halt) -> Iterator[Halt]:
        self._halts[job_id] = halt
        try:
            yield halt
        finally:
            self._halts.pop(job_id, None)

    def cancel(self, job_id: int) -> None:
        """Stop the transfer of a job, if it has one."""
        halt = self._halts.get(job_id)
        if halt is not None:
            halt.stop("canceled")
