"""What a download handler is, and the check that none can skip."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from comfywatchman.disk.files import look, measure
from comfywatchman.disk.structure import examine
from comfywatchman.domain.candidates import Candidate
from comfywatchman.domain.errors import FileUnreadable, VerificationFailed
from comfywatchman.domain.files import Expected, Measured

OnStart = Callable[[str, int | None, str | None, int], None]
"""Told the host, the whole size, the validator to resume with, and the offset of the first byte."""

OnProgress = Callable[[int, int | None], None]
"""Told the bytes of the part and the whole size, both in bytes."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """All bytes of a file are in its part."""

    measured: Measured
    host: str
    """That sent the bytes; the last one that a redirect led to."""
    received: int
    """Bytes that came over the network this time."""
    resumed_from: int = 0
    etag: str | None = None


class DownloadHandler(Protocol):
    """A way to bring the bytes of some URLs.

    Called from one fetch thread, one call at a time. Choosing, verifying, placing and trying
    again are not its business.
    """

    def supports(self, url: str) -> bool:
        """Say whether it is the one for *url*; nothing is asked."""
        ...

    def fetch(
        self,
        source: Candidate,
        part: Path,
        *,
        expected: Expected,
        validator: str | None,
        on_start: OnStart,
        on_progress: OnProgress,
        stop: threading.Event,
    ) -> Fetched:
        """Bring all bytes into *part*, going on where an earlier try ended if that is safe.

        *validator* is what *on_start* was told in an earlier try. It is told again before the
        first byte is written, so that a process that dies later finds it.

        Raises:
            WatchmanError: the bytes are not all there. Whatever the part holds then may be
                continued; an error that is ``retryable`` means a later try may succeed.
        """
        ...


def verify(
    part: Path, expected: Expected, filename: str, measured: Measured | None = None
) -> Measured:
    """Check what was fetched, whoever fetched it, before it may get a name.

    Args:
        part: the file.
        expected: what the source, the workflow or the catalog promised.
        filename: the name it is to have; its suffix says what it should be.
        measured: what was hashed while the bytes came; without it the file is read again.

    Raises:
        VerificationFailed: size, SHA-256 or structure is wrong, or it is a page or a pointer.
        FileUnreadable, DiskFailed
    """
    stamp = look(part)
    if stamp is None:
        raise FileUnreadable(f"{part} is gone.", remedy="It is fetched again; nothing to do.")
    if measured is None:
        measured = measure(part)
    if stamp.size != measured.size:
        raise _failed(filename, f"{measured.size} bytes came and {stamp.size} are on the disk")
    found = examine(part, PurePosixPath(filename).suffix)
    broken = expected.broken_promise(measured)
    if found.problem is not None:
        broken = f"{found.problem}; {broken}" if broken else found.problem
    if broken is not None:
        raise _failed(filename, broken)
    return measured


def _failed(filename: str, what: str) -> VerificationFailed:
    return VerificationFailed(
        f"What was fetched for {filename} is not the promised file: {what}.",
        remedy="It was put into quarantine. Look at the source, or choose another one.",
    )
