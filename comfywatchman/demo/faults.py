"""What the hub of the demo does wrong on request."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal

Where = Literal["hub", "storage"]
Kind = Literal[
    "cut", "stall", "corrupt", "html", "status", "wrong-hash", "slow-start", "no-range", "drop"
]

_OF_THE_BODY = {"cut", "stall", "corrupt", "no-range"}


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to misbehave, for files whose key contains *match*."""

    kind: Kind
    match: str
    where: Where
    after: int
    """Offset in the file, bytes."""
    seconds: float
    status: int

    def meant(self, where: Where, method: str, key: str) -> bool:
        """Say whether it is about such a request; a HEAD has no body to spoil."""
        spoils = not (method == "HEAD" and self.kind in _OF_THE_BODY)
        return self.where == where and self.match in key and spoils


class Faults:
    """The faults that are still to come, oldest first.

    Requests come on many threads and each fault is for one of them: hence the lock.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[Fault, int]] = []
        self._taking = threading.Lock()

    def add(self, fault: Fault, times: int) -> None:
        """Have *fault* happen to the next *times* requests that it is about."""
        with self._taking:
            self._waiting.append((fault, times))

    def take(self, where: Where, method: str, key: str) -> Fault | None:
        """Return, and use up, the fault for this request; ``None`` for a good answer."""
        with self._taking:
            for position, (fault, left) in enumerate(self._waiting):
                if fault.meant(where, method, key):
                    self._waiting[position : position + 1] = [(fault, left - 1)] * (left > 1)
                    return fault
        return None
