"""What was done to the disk, one line each: who, when, what, which file, which hash, result.

Each line carries the SHA-256 of the one before (`previous`), so that one that was changed, taken
out or put in later is noticed by `comfywatchman.report.audit_chain.verify`.
"""

from __future__ import annotations

import fcntl
import getpass
import os
import threading
from datetime import UTC, datetime
from pathlib import Path

from comfywatchman.domain.messages import DownloadQuarantined, Event, ModelPlaced
from comfywatchman.report.audit_chain import FILE, FIRST, digest, last_line
from comfywatchman.report.record import timestamp, to_json
from comfywatchman.report.visible import encodable

__all__ = ["FILE", "AuditLog"]


class AuditLog:
    """Appends to ``audit.jsonl``; never shortened or rewritten by us.

    Any thread may tell it something, hence the one lock; any process may, hence the lock of the
    file: which line was the last is looked up and followed by ours in one go.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._lock = threading.Lock()
        self._who = f"{_user()} pid {os.getpid()}"

    def observe(self, event: Event) -> None:
        match event:
            case ModelPlaced(path=path, measured=measured, source=source, linked_from=None):
                proof = "" if event.promised else ", unverifiable: nobody publishes a hash"
                self.note("placed", path, measured.sha256, f"from {source}{proof}")
            case ModelPlaced(path=path, measured=measured, linked_from=there):
                what = "found in place" if there == path else f"linked to {there}"
                self.note("placed", path, measured.sha256, what)
            case DownloadQuarantined(path=path, trouble=trouble):
                self.note("quarantined", path, None, trouble.cause)
            case _:
                pass

    def note(self, what: str, path: Path | None, sha256: str | None, result: str) -> None:
        """Append one line; a disk that refuses it is no reason to stop."""
        said = {
            "who": self._who,
            "what": what,
            "path": None if path is None else encodable(str(path)),
            "sha256": sha256,
            "result": encodable(result),
        }
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        with self._lock:
            try:
                descriptor = os.open(self._path, flags, 0o600)
            except OSError:
                return
            try:
                # Let go with the descriptor, also by a process that is killed.
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                _append(descriptor, said)
            except OSError:
                return
            finally:
                os.close(descriptor)


def _append(descriptor: int, said: dict[str, str | None]) -> None:
    """Write the line after the last one; what a full disk took half of is taken back.

    A line that somebody else left without its end gets one, and stays as it is.
    """
    size = os.fstat(descriptor).st_size
    before, ended = last_line(descriptor, size)
    record = {
        "timestamp": timestamp(datetime.now(UTC)),
        **said,
        "previous": FIRST if before is None else digest(before),
    }
    data = (b"" if ended else b"\n") + to_json(record).rstrip(b"\n") + b"\n"
    try:
        written = os.write(descriptor, data)
    except OSError:
        os.ftruncate(descriptor, size)
        raise
    if written != len(data):
        os.ftruncate(descriptor, size)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
