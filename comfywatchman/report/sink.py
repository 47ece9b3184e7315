"""Where log lines go. Writing never raises: what cannot be written is counted."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import Protocol, TextIO

_PRIORITY = {
    "debug": b"<7>",
    "info": b"<6>",
    "warning": b"<4>",
    "error": b"<3>",
    "critical": b"<2>",
}
"""syslog priorities, as journald reads them at the beginning of a line (sd-daemon(3))."""


class Sink(Protocol):
    """Takes whole lines, from any thread."""

    dropped: int
    """Lines that could not be written: a full disk, a closed pipe."""

    def write(self, level: str, line: bytes) -> None:
        """Write *line*, which has no newline at its end; never raises."""
        ...

    def close(self) -> None: ...


class StreamSink:
    """A stream that is open already, standard error as a rule.

    Written to past its buffer, because a buffer that failed to be flushed fails again at every
    later line and at the end of the process.
    """

    def __init__(self, stream: TextIO, *, journal: bool = False) -> None:
        self.dropped = 0
        self._stream = stream
        self._journal = journal
        self._lock = threading.Lock()  # many threads log; two lines must not mix

    def write(self, level: str, line: bytes) -> None:
        if self._journal:
            prefix = _PRIORITY.get(level, b"<6>")
            # Each line of a record is a record of its own there, and needs its own prefix.
            line = b"\n".join(prefix + part for part in line.split(b"\n"))
        with self._lock:
            try:
                self._put(line + b"\n")
            except (OSError, ValueError):  # ValueError: the stream is closed
                self.dropped += 1

    def close(self) -> None:
        """Leave the stream to its owner."""

    def _put(self, data: bytes) -> None:
        descriptor = _descriptor(self._stream)
        if descriptor is None:
            self._stream.write(data.decode())
            self._stream.flush()
        else:
            _write_all(descriptor, data)


class FileSink:
    """A file that logrotate may rename: a line goes to the file that has the name now."""

    def __init__(self, path: Path) -> None:
        self.dropped = 0
        self._path = path
        self._descriptor: int | None = None
        self._lock = threading.Lock()  # many threads log; the file is opened again by one of them

    def write(self, level: str, line: bytes) -> None:
        del level
        with self._lock:
            try:
                _write_all(self._opened(), line + b"\n")
            except OSError:
                self.dropped += 1

    def close(self) -> None:
        with self._lock:
            self._close()

    def _opened(self) -> int:
        if self._descriptor is not None and not self._is_the_named_file(self._descriptor):
            self._close()
        if self._descriptor is None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
            self._descriptor = os.open(self._path, flags, 0o600)
        return self._descriptor

    def _is_the_named_file(self, descriptor: int) -> bool:
        try:
            named = self._path.stat()
        except OSError:
            return False
        return os.path.samestat(named, os.fstat(descriptor))

    def _close(self) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None


def is_the_journal(stream: TextIO, journal_stream: str | None) -> bool:
    """Whether *stream* ends in the journal: ``$JOURNAL_STREAM`` is its ``device:inode``."""
    descriptor = _descriptor(stream)
    if descriptor is None or not journal_stream:
        return False
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return journal_stream == f"{status.st_dev}:{status.st_ino}"


def _descriptor(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):  # a stream in memory, a closed one, a stand-in
        return None


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
