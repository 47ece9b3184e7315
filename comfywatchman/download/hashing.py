"""SHA-256 of bytes while they come, in a second thread."""

from __future__ import annotations

import hashlib
import threading
from queue import Queue

from comfywatchman.domain.files import Measured

_WAITING = 16
"""Blocks that may wait to be hashed, at most one MiB each; then the reading thread waits."""


class RunningHash:
    """Hashes what it is fed; `hashlib` lets other threads run meanwhile."""

    def __init__(self, already: Measured | None = None) -> None:
        del already
        self._digest = hashlib.sha256()
        self._blocks: Queue[bytes | None] = Queue(_WAITING)
        self._thread = threading.Thread(target=self._run, name="fetch-hash", daemon=True)

    def _run(self) -> None:
        while (block := self._blocks.get()) is not None:
            self._digest.update(block)
