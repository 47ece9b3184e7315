"""A workflow of thousands of models is not read anew for each one that arrives."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.domain.jobs import AnalyzeWorkflow, Cause
from comfywatchman.state import jobs

if TYPE_CHECKING:
    from comfywatchman.state.keeper import Reader

_LOOK_AGAIN = 2.0
"""Seconds after which it is seen that nothing more arrives."""
_MOST_KEPT = 256


@dataclass(frozen=True, slots=True)
class Resting:
    """Remembers what took long; for the one thread that analyzes."""

    worth_seconds: float = 0.25
    """What took less is done again whenever it is asked for."""
    share: float = 6.0
    """How many times as long as it took it rests, while more is to arrive."""
    _looks: dict[Path, tuple[float, float]] = field(default_factory=dict)
    """Workflow -> when it was done last (monotonic), and how long that took."""

    def note(self, path: Path, took: float) -> None:
        """Remember that an analysis took so many seconds."""
        self._looks.pop(path, None)
        if took < self.worth_seconds:
            return
        if len(self._looks) >= _MOST_KEPT:
            self._looks.pop(next(iter(self._looks)))
        self._looks[path] = (time.monotonic(), took)

    def left(self, job: AnalyzeWorkflow, reader: Reader) -> float | None:
        """Return for how many seconds to put the job off; ``None`` for not at all.

        Only what arrived may wait, and only while transfers go on that bring more.
        """
        seen = self._looks.get(job.path)
        if seen is None or job.cause is not Cause.ARRIVED:
            return None
        ended, took = seen
        left = ended + self.share * took - time.monotonic()
        if left <= 0 or not reader.read(jobs.any_on_the_way):
            return None
        return min(left, _LOOK_AGAIN)
