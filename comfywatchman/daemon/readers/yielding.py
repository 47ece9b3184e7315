"""Holds the readers of model files up while ComfyUI works, and lets them go on after."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from comfywatchman.daemon.readers.brakes import Gate

POLL_SECONDS = 3.0
"""How often ComfyUI is asked, and only while there are files to read."""


LONGEST_SILENCE = 600.0
"""How many seconds a ComfyUI that does not answer is taken to be at work: one that loads a large
model answers nobody meanwhile. One that hangs for ever does not hold the readers up for ever."""


class Works:
    """Knows whether ComfyUI works, also while it says nothing. Owned by one thread."""

    def __init__(
        self,
        runs_prompt: Callable[[], bool | None],
        clock: Callable[[], float] = time.monotonic,
        longest_silence: float = LONGEST_SILENCE,
    ) -> None:
        """Ask with *runs_prompt*, whose ``None`` is silence; *clock* gives monotonic seconds."""
        self._runs_prompt = runs_prompt
        self._clock = clock
        self._longest = longest_silence
        self._silent_since: float | None = None

    def ask(self) -> bool:
        asked_at = self._clock()
        said = self._runs_prompt()
        if said is not None:
            self._silent_since = None
            return said
        if self._silent_since is None:
            self._silent_since = asked_at
        return self._clock() - self._silent_since < self._longest


class Yielding(threading.Thread):
    """Asks ComfyUI while there is something to read, and works the gate; else it sleeps."""

    def __init__(
        self,
        runs_prompt: Callable[[], bool | None],
        gate: Gate,
        stop: threading.Event,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        super().__init__(name="yield", daemon=True)
        self._works = Works(runs_prompt)
        self._gate = gate
        self._stop_event = stop
        self._poll_seconds = poll_seconds
        self._needed = threading.Event()

    def needed(self, *, now: bool) -> None:
        """Say whether there is something to read."""
        if now:
            self._needed.set()
        else:
            self._needed.clear()
            self._gate.shut(closed=False)

    def run(self) -> None:
        while True:
            self._needed.wait()
            if self._stop_event.is_set():
                break
            busy = self._works.ask()
            self._gate.shut(closed=busy and self._needed.is_set())
            self._stop_event.wait(self._poll_seconds)
        self._gate.shut(closed=False)

    def end(self) -> None:
        """Wake it for the last time; the stop event is set already."""
        self._needed.set()
        self._gate.shut(closed=False)
