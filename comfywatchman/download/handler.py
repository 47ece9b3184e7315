"""What a download handler is, and the check that none can skip."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol

from comfywatchman.disk.files import measure
from comfywatchman.disk.part import Part
from comfywatchman.disk.structure import examine, zeros_at_end
from comfywatchman.domain.candidates import Candidate
from comfywatchman.domain.errors import VerificationFailed
from comfywatchman.domain.files import Expected, Mark, Measured


@dataclass(frozen=True, slots=True)
class Start:
    """Bytes are about to come."""

    host: str
    """That sends them: the last one that a redirect led to."""
    mark: Mark
    offset: int = 0
    """Of the first byte that comes; what lies before it an earlier try left."""
    lost: int = 0
    """Bytes that an earlier try left and that cannot be gone on with."""


OnStart = Callable[[Start], None]

OnProgress = Callable[[int, int | None], None]
"""Told the bytes that are there and the whole size, both in bytes."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """All bytes of a file are in its part."""

    measured: Measured | None
    """What was hashed while the bytes came; ``None`` has the part read again."""
    host: str
    """That sent the bytes; the last one that a redirect led to."""
    received: int
    """Bytes that came over the network this time."""
    resumed_from: int = 0


class DownloadHandler(Protocol):
    """A way to bring the bytes of some URLs.

    Called from one fetch thread, one call at a time. Choosing, verifying, placing and trying
    again are not its business.
    """

    def supports_url(self, url: str) -> bool:
        """Say whether it is the one for *url*; nothing is asked."""
        ...

    def download(
        self,
        source: Candidate,
        part: Part,
        *,
        expected: Expected,
        mark: Mark | None,
        on_start: OnStart,
        on_progress: OnProgress,
        stop: threading.Event,
    ) -> Fetched:
        """Bring all bytes into *part*, going on where an earlier try ended if that is safe.

        *mark* is what *on_start* was told in an earlier try. It is told again before the first
        byte is written, so that a process that dies later finds it.

        Raises:
            WatchmanError: the bytes are not all there. Whatever the part holds then may be
                continued; an error that is ``retryable`` means a later try may succeed.
        """
        ...


def verify(
    part: Part, expected: Expected, filename: str, measured: Measured | None = None
) -> Measured:
    """Check what was fetched, whoever fetched it, before it may get a name.

    Args:
        part: the file.
        expected: what the source, the workflow or the catalog promised.
        filename: the name it is to have; its suffix says what it should be.
        measured: what was hashed while the bytes came; without it the file is read again.

    Raises:
        VerificationFailed: size, SHA-256 or structure is wrong, or it is a page or a pointer.
        DiskFailed
    """
    if measured is None:
        measured = measure(part.descriptor)
    size = os.fstat(part.descriptor).st_size
    if size != measured.size:
        raise _failed(filename, f"{measured.size} bytes came and {size} are on the disk")
    broken = expected.broken_promise(measured)
    found = examine(part.descriptor, PurePosixPath(filename).suffix)
    problem = found.problem
    if problem is None and expected.sha256 is None and found.kind != "safetensors":
        problem = _unwritten(part)
    if problem is not None:
        broken = f"{problem}; {broken}" if broken else problem
    if broken is not None:
        raise _failed(filename, broken)
    return measured


def _unwritten(part: Part) -> str | None:
    """Say that the end was never written, where no hash tells; some formats tell it themselves."""
    zeros = zeros_at_end(part.descriptor)
    return f"its last {zeros} bytes are nothing but zeros" if zeros else None


def _failed(filename: str, what: str) -> VerificationFailed:
    return VerificationFailed(
        f"What was fetched for {filename} is not the promised file: {what}.",
        remedy="It was put into quarantine. Look at the source, or choose another one.",
    )
