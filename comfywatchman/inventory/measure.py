"""Reading a model file once, for everything that its bytes tell."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from comfywatchman.disk.errors import reading_failed
from comfywatchman.disk.files import has_writer, look, open_regular, stamp_of
from comfywatchman.disk.holes import mostly_there
from comfywatchman.disk.reading import Take, read_through
from comfywatchman.domain.errors import FileUnreadable
from comfywatchman.domain.files import Measured, Reading, Stamp
from comfywatchman.inventory.digests import Digesting, Wanted

Why = Literal["changed", "written", "incomplete"]


@dataclass(frozen=True, slots=True)
class Changed:
    """The file was written to, replaced or removed while it was measured: nothing is known."""

    path: Path
    why: Why = field(default="changed", compare=False)
    """``written``: somebody has it open for writing. ``incomplete``: much of it was never
    written, so that reading it would tell nothing."""


def read_model(
    path: Path,
    stop: threading.Event,
    on_block: Callable[[int], None] | None = None,
    wanted: Wanted | None = None,
    *,
    from_disk: bool = False,
) -> Reading | Changed:
    """Read the whole file once, for its hashes and the stamp to know it by.

    The file is looked at before and after, by its path and by its descriptor, and so is whether
    anybody has it open for writing: one that was written to or replaced in between is not taken
    for measured. Whether its stamp proves anything at that time (`Reading.racy`) is left to the
    caller.

    Args:
        path: the file; a link is followed.
        stop: ends the reading at the next block.
        on_block: told after each block how many bytes are read so far; may wait.
        wanted: what to find out besides SHA-256.
        from_disk: read what the disk has, although the page cache has it, too: to find decay.

    Raises:
        Interrupted: *stop* was set.
        FileUnreadable: it may not be read.
        DiskFailed: the disk or the share answered with an error.
        ExtraMissing: BLAKE3 is wanted, and the package for it is not installed.
    """
    before = look(path)
    if before is None:
        return Changed(path)
    try:
        descriptor = open_regular(path)
    except FileUnreadable:
        if look(path) is None:
            return Changed(path)
        raise
    try:
        read = partial(
            read_through, descriptor, path, on_block=on_block, stop=stop, from_disk=from_disk
        )
        return _read(descriptor, path, before, wanted or Wanted(), read)
    finally:
        os.close(descriptor)


def measure_model(
    path: Path, stop: threading.Event, on_block: Callable[[int], None] | None = None
) -> tuple[Measured, Stamp] | Changed:
    """Read the whole file for its size and SHA-256 alone; otherwise as `read_model`."""
    reading = read_model(path, stop, on_block)
    if isinstance(reading, Changed):
        return reading
    return reading.measured, reading.stamp


def _read(
    descriptor: int,
    path: Path,
    before: Stamp,
    wanted: Wanted,
    read: Callable[[Take], int],
) -> Reading | Changed:
    began_at_ns = time.time_ns()
    try:
        if stamp_of(os.fstat(descriptor)) != before:
            return Changed(path)
        if has_writer(descriptor):
            return Changed(path, "written")
        if not mostly_there(descriptor, before.size):
            return Changed(path, "incomplete")
        digesting = Digesting(descriptor, before.size, wanted)
        read(digesting.take)
        after = os.fstat(descriptor)
        if has_writer(descriptor):
            return Changed(path, "written")
    except OSError as error:
        raise reading_failed(error, path) from error
    measured = digesting.measured()
    # By its descriptor a file that was replaced looks as it did; its path leads elsewhere.
    unchanged = stamp_of(after) == before == look(path)
    if not unchanged or after.st_nlink == 0 or measured.size != before.size:
        return Changed(path)
    return Reading(before, measured, began_at_ns, digesting.digests(), after.st_nlink)
