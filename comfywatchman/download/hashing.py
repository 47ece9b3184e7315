"""SHA-256 of bytes while they come, in a second thread."""

from __future__ import annotations

import hashlib
import os
import threading
from queue import Queue

from comfywatchman.disk.errors import reading_failed
from comfywatchman.disk.files import BLOCK
from comfywatchman.disk.part import Part
from comfywatchman.domain.errors import Interrupted

_WAITING = 16
"""Blocks, of a MiB at most, that may wait to be hashed; then the reading thread waits too."""


class RunningHash:
    """Continues *digest* with what it is fed; `hashlib` lets the other thread run meanwhile."""

    def __init__(self, digest: hashlib._Hash) -> None:
        self._digest = digest
        self._blocks: Queue[bytes | None] = Queue(_WAITING)
        self._thread = threading.Thread(target=self._run, name="fetch-hash", daemon=True)

    def __enter__(self) -> RunningHash:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._blocks.put(None)
        self._thread.join()

    def feed(self, block: bytes) -> None:
        self._blocks.put(block)

    def _run(self) -> None:
        while (block := self._blocks.get()) is not None:
            self._digest.update(block)


def digest_of(part: Part, stop: threading.Event) -> hashlib._Hash:
    """Hash what an earlier try left in *part*; its state is never trusted across processes.

    Raises:
        Interrupted: *stop* was set.
        DiskFailed
    """
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(BLOCK))
    done = 0
    try:
        while count := os.preadv(part.descriptor, [buffer], done):
            digest.update(buffer[:count])
            done += count
            if stop.is_set():
                raise Interrupted(
                    f"Reading {part.path} again was stopped.",
                    remedy="It goes on at the next start; nothing to do.",
                )
    except OSError as error:
        raise reading_failed(error, part.path) from error
    return digest
