"""Lets fewer bytes come while ComfyUI computes: the line, the disk and the processor are its own.

A transfer is slowed and not broken off: a server that waits too long hangs up, and what was begun
would be asked for again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from comfywatchman.daemon.readers.yielding import POLL_SECONDS, Works

if TYPE_CHECKING:
    from comfywatchman.download.pace import Bandwidth

LONGEST_SILENCE = 60.0
"""How many seconds a ComfyUI that does not answer is taken to be at work."""


class Easing(threading.Thread):
    """Asks ComfyUI while bytes come, and makes the budget narrow or wide; else it sleeps."""

    def __init__(
        self,
        runs_prompt: Callable[[], bool | None],
        bandwidth: Bandwidth,
        stop: threading.Event,
        poll_seconds: float = POLL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask with *runs_prompt*, whose ``None`` is silence, every *poll_seconds*."""
        super().__init__(name="ease", daemon=True)
        self._works = Works(runs_prompt, clock, LONGEST_SILENCE)
        self._bandwidth = bandwidth
        self._stop_event = stop
        self._poll_seconds = poll_seconds

    def run(self) -> None:
        used = self._bandwidth.used
        while used.wait() and not self._stop_event.is_set():
            used.clear()
            self._bandwidth.shut(closed=self._works.ask())
            self._stop_event.wait(self._poll_seconds)

    def end(self) -> None:
        """Wake it for the last time; the stop event is set already."""
        self._bandwidth.used.set()
