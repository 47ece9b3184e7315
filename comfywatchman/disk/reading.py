"""Reading the whole of a file once, from its start to its end, as a guest of the page cache."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

from comfywatchman.disk.errors import reading_failed
from comfywatchman.disk.pagecache import Lodger
from comfywatchman.domain.errors import Interrupted

BLOCK = 1 << 20
"""Bytes read at once; measured, the size hardly matters from 64 KiB up."""

Take = Callable[[memoryview, int], object]
"""Is handed each block and where in the file it begins; the block is good for this call only."""


def read_through(
    descriptor: int,
    path: Path,
    take: Take,
    *,
    on_block: Callable[[int], None] | None = None,
    stop: threading.Event | None = None,
    from_disk: bool = False,
) -> int:
    """Hand every block of the file to *take*, in order, and return how many bytes there were.

    A file that grows meanwhile is read up to the size it had at the beginning, so that one whose
    writer is faster than we are has an end.

    Args:
        descriptor: of a regular file; its position is neither used nor moved.
        path: how errors call it.
        take: gets the bytes.
        on_block: told after each block how many bytes are read so far.
        stop: once set, reading ends at the next block.
        from_disk: read what the disk has, although the page cache has it, too.

    Raises:
        FileUnreadable, DiskFailed: the disk answered with an error.
        Interrupted: *stop* was set.
    """
    done = 0
    try:
        size = os.fstat(descriptor).st_size
        buffer = memoryview(bytearray(min(BLOCK, max(1, size))))
        lodger = Lodger(descriptor, size)
        if from_disk:
            lodger.forget()
        try:
            while done < size:
                count = os.preadv(descriptor, [buffer[: size - done]], done)
                if count == 0:
                    break
                take(buffer[:count], done)
                done += count
                lodger.passed(done)
                if on_block is not None:
                    on_block(done)
                if stop is not None and stop.is_set():
                    raise Interrupted(
                        f"Reading {path} was stopped after {done} bytes.",
                        remedy="It is read again later; nothing to do.",
                    )
        finally:
            lodger.leave(done)
    except OSError as error:
        raise reading_failed(error, path) from error
    return done
