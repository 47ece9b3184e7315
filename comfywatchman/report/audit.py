"""What was done to the disk, one line each: who, when, what, which file, which hash, result."""

from __future__ import annotations

import getpass
import os
import threading
from datetime import UTC, datetime
from pathlib import Path

from comfywatchman.domain.messages import DownloadQuarantined, Event, ModelPlaced
from comfywatchman.report.record import timestamp, to_json
from comfywatchman.report.visible import encodable

FILE = "audit.jsonl"


class AuditLog:
    """Appends to ``audit.jsonl``; never shortened or rewritten by us.

    Any thread may tell it something, hence the one lock: a line is written whole.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._lock = threading.Lock()
        self._who = f"{_user()} pid {os.getpid()}"

    def observe(self, event: Event) -> None:
        match event:
            case ModelPlaced(path=path, measured=measured, source=source, linked_from=None):
                self.note("placed", path, measured.sha256, f"from {source}")
            case ModelPlaced(path=path, measured=measured, linked_from=there):
                what = "found in place" if there == path else f"linked to {there}"
                self.note("placed", path, measured.sha256, what)
            case DownloadQuarantined(path=path, trouble=trouble):
                self.note("quarantined", path, None, trouble.cause)
            case _:
                pass

    def note(self, what: str, path: Path | None, sha256: str | None, result: str) -> None:
        """Append one line; a disk that refuses it is no reason to stop."""
        line = to_json(
            {
                "timestamp": timestamp(datetime.now(UTC)),
                "who": self._who,
                "what": what,
                "path": None if path is None else encodable(str(path)),
                "sha256": sha256,
                "result": encodable(result),
            }
        )
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        with self._lock:
            try:
                descriptor = os.open(self._path, flags, 0o600)
            except OSError:
                return
            try:
                os.write(descriptor, line.rstrip(b"\n") + b"\n")
            except OSError:
                return
            finally:
                os.close(descriptor)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
