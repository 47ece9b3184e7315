"""What holds a reader of model files up between two blocks: others, who come first."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from comfywatchman.download.pace import Bandwidth

SQUEEZE_SECONDS = 2.0
"""How long a neighbor on the disk holds a reader up at most: then it reads one block more, so that
a disk that never rests does not keep a file from being measured for ever."""


class Gate:
    """A door that readers go through after each block. Any thread may open or shut it."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._open.set()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until the door is open, *seconds* at the most."""
        self._open.wait(seconds)

    def shut(self, *, closed: bool) -> None:
        if closed:
            self._open.clear()
        else:
            self._open.set()

    @property
    def closed(self) -> bool:
        return not self._open.is_set()


class Brakes:
    """A budget of bytes, a door for the time of a prompt, and a door for each disk."""

    def __init__(self, bandwidth: Bandwidth | None, stop: threading.Event) -> None:
        self._bandwidth = bandwidth
        self._stop = stop
        self.prompt = Gate()
        self._disks: dict[str, Gate] = {}

    def disk(self, key: str) -> Gate:
        return self._disks.setdefault(key, Gate())

    def hold(self, count: int) -> None:
        """Hold the calling reader up after a block of *count* bytes."""
        if self._bandwidth is not None:
            self._bandwidth.take(count, self._stop)
        self.prompt.wait()

    def release(self) -> None:
        """Open every door."""
        for gate in (self.prompt, *self._disks.values()):
            gate.shut(closed=False)
