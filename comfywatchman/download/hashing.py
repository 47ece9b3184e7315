"""SHA-256 of bytes while they come, in a second thread."""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass, field
from queue import Queue

from comfywatchman.disk.errors import reading_failed
from comfywatchman.disk.files import stamp_of
from comfywatchman.disk.part import Part
from comfywatchman.disk.reading import BLOCK
from comfywatchman.domain.errors import Interrupted
from comfywatchman.domain.files import Stamp

_WAITING = 8
"""Blocks, of a MiB each, that may wait to be hashed; then the reading thread waits too."""

_MOST_KEPT = 64


class RunningHash:
    """Continues *digest* with what it is fed; `hashlib` lets the other thread run meanwhile.

    The memory that the bytes come into is its own and used again and again: giving each block
    memory of its own costs as much as receiving it.
    """

    def __init__(self, digest: hashlib._Hash, reached: int = 0) -> None:
        self.reached = reached
        """How many bytes of the file are hashed when all that was fed is."""
        self._digest = digest
        self._blocks: Queue[memoryview | None] = Queue()
        self._free: Queue[memoryview] = Queue()
        self._made = 0
        self._thread = threading.Thread(target=self._run, name="fetch-hash", daemon=True)

    def __enter__(self) -> RunningHash:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._blocks.put(None)
        self._thread.join()

    def buffer(self) -> memoryview:
        """Return `BLOCK` bytes to fill; waits while all that there are wait to be hashed."""
        if self._made < _WAITING and self._free.empty():
            self._made += 1
            return memoryview(bytearray(BLOCK))
        return self._free.get()

    def feed(self, buffer: memoryview, count: int) -> None:
        """Hash the first *count* bytes of a *buffer*, and have it filled again later."""
        self.reached += count
        self._blocks.put(buffer[:count])

    def give_back(self, buffer: memoryview) -> None:
        """Return a *buffer* that nothing came into."""
        self._free.put(buffer)

    def _run(self) -> None:
        while (block := self._blocks.get()) is not None:
            self._digest.update(block)
            self._free.put(memoryview(block.obj))


@dataclass(frozen=True, slots=True)
class Carried:
    """The hashes of parts between two tries of this process, so that no part is read again.

    Fetch workers share it: each call is one operation of a dictionary.
    """

    _kept: dict[tuple[int, int], tuple[Stamp, hashlib._Hash]] = field(default_factory=dict)

    def keep(self, part: Part, digest: hashlib._Hash) -> None:
        """Remember the hash of all that *part* holds; its file is written no more in this try."""
        stamp = stamp_of(os.fstat(part.descriptor))
        self._kept.pop((stamp.device, stamp.inode), None)
        self._kept[stamp.device, stamp.inode] = (stamp, digest)
        for oldest in list(self._kept)[:-_MOST_KEPT]:
            self._kept.pop(oldest, None)  # its file has its name by now, or waits for long

    def take(self, part: Part) -> hashlib._Hash | None:
        """Return the hash of *part* if nobody has touched it since, and forget it."""
        stamp = stamp_of(os.fstat(part.descriptor))
        found = self._kept.pop((stamp.device, stamp.inode), None)
        return found[1] if found is not None and found[0] == stamp else None


def digest_of(part: Part, carried: Carried, stop: threading.Event) -> hashlib._Hash:
    """Return the hash of what an earlier try left in *part*.

    It is read again where that try was another process's: its word is not taken.

    Raises:
        Interrupted: *stop* was set.
        DiskFailed
    """
    known = carried.take(part)
    if known is not None:
        return known
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
