"""Hands files of strangers to a child process and brings back what they say."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from comfywatchman.analyze.limits import Limits
from comfywatchman.disk.files import stamp_of
from comfywatchman.domain.errors import FileUnreadable, ParserFailed
from comfywatchman.domain.files import Stamp
from comfywatchman.domain.references import WorkflowContent
from comfywatchman.parsing.process import ChildProcess
from comfywatchman.parsing.tables import shipped_tables
from comfywatchman.parsing.wire import Answer, Bounds, Hello, Request

if TYPE_CHECKING:
    from comfywatchman.analyze.loaders import Tables

_IDLE_SECONDS = 60.0
_FILES_PER_CHILD = 500
"""Then a new one: what the allocator keeps is given back."""

_OPENING = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)  # a named pipe must not hold us
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


@dataclass(frozen=True, slots=True)
class Parsed:
    """A file, read."""

    content: WorkflowContent
    sha256: str
    """Of the file's bytes; empty where they were not read to the end."""
    stamp: Stamp
    """From before the reading."""
    changed: bool = False
    """The file was written to while we read it: the rest may mix two states, so read it again."""


class Parser:
    """Reads workflow files; owned by one thread.

    The child starts with the first file, and anew after a failure, after some hundred files, and
    after `close_when_idle` let it go. Where no process can be handed an open file (Windows), files
    are read in this one.
    """

    def __init__(
        self,
        extra_loaders: Sequence[str] = (),
        *,
        limits: Limits | None = None,
        bounds: Bounds | None = None,
        deadline_seconds: float = 15.0,
    ) -> None:
        """Prepare; nothing is started yet.

        Raises:
            SettingsInvalid: one of *extra_loaders* is no line of the loader table.
        """
        self._tables = _here(shipped_tables(extra_loaders))
        self._hello = Hello(limits or Limits(), bounds or Bounds(), tuple(extra_loaders))
        self._deadline_seconds = deadline_seconds
        self._child: ChildProcess | None = None
        self._files = 0
        self._last_used = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def use_loaders(self, extra_loaders: Sequence[str]) -> None:
        """Read what comes from now on with these lines besides the shipped ones.

        Raises:
            SettingsInvalid: one of them is no line of the loader table; the ones before stay.
        """
        if tuple(extra_loaders) == self._hello.extra_loaders:
            return
        self._tables = _here(shipped_tables(extra_loaders))
        self._hello = replace(self._hello, extra_loaders=tuple(extra_loaders))
        self.close()

    @property
    def child_pid(self) -> int | None:
        """The process id of the child; ``None`` while there is none."""
        return None if self._child is None else self._child.pid

    def close(self) -> None:
        """End the child; the next file starts another one."""
        if self._child is not None:
            self._child.close()
            self._child = None

    def close_when_idle(self, now: float) -> None:
        """End the child if nothing was read for a minute; *now* is from `time.monotonic`."""
        if now - self._last_used > _IDLE_SECONDS:
            self.close()

    def prepare(self) -> None:
        """Start the child if there is none, without waiting for it, because a file will come.

        Its start takes longer than reading a file; who knows of a file before it is to be read
        can have both at once.
        """
        if hasattr(socket, "send_fds"):
            self._started()
            self._last_used = time.monotonic()

    def read(self, path: Path) -> Parsed:
        """Return what the file at *path* says. Links are followed.

        A file that breaks or stalls the child is an answer too, with the trouble ``parser-failed``.

        Raises:
            FileUnreadable: it is gone, no regular file, or we may not read it.
        """
        with _opened(path) as file:
            return self._read(file, path.name.encode(errors="backslashreplace").decode())

    def read_bytes(self, data: bytes, filename: str) -> Parsed:
        """Return what *data* says, as if it were a file of that name (stdin, a request's body)."""
        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.flush()
            return self._read(file.fileno(), filename)

    def _read(self, file: int, filename: str) -> Parsed:
        before = _stamp(file)
        answer = self._asked(file, filename)
        content = answer.content or _failed(answer.failure or "gave no answer")
        return Parsed(content, answer.sha256, before, changed=_stamp(file) != before)

    def _asked(self, file: int, filename: str) -> Answer:
        if self._tables is not None:
            # What reads files takes 3 MB, which a daemon that has a child for it need not hold.
            from comfywatchman.parsing.reading import read_answer

            with os.fdopen(os.dup(file), "rb") as source:
                return read_answer(source, filename, self._tables, self._hello.limits)
        # A name need not be UTF-8, and the child only quotes it.
        sendable = filename.encode("utf-8", "backslashreplace").decode()
        answer = self._started().ask(Request(sendable), file, self._deadline_seconds)
        self._files += 1
        self._last_used = time.monotonic()
        if answer.failure is not None or self._files >= _FILES_PER_CHILD:
            self.close()
        return answer

    def _started(self) -> ChildProcess:
        """Return the child; one that somebody else has ended meanwhile is replaced."""
        if self._child is not None and not self._child.alive():
            self.close()
        if self._child is None:
            self._child = ChildProcess(self._hello)
            self._files = 0
        return self._child


def _here(tables: Tables) -> Tables | None:
    """Return what has to be kept of the tables in this process: nothing where a child has them."""
    return None if hasattr(socket, "send_fds") else tables


def _failed(what: str) -> WorkflowContent:
    trouble = ParserFailed(
        f"The process that reads workflow files failed at this one. It {what}.",
        remedy="Look where the file comes from. It is read again when it changes.",
    ).trouble()
    return WorkflowContent("unknown", "none", trouble=trouble)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """Open a regular file for reading.

    Raises:
        FileUnreadable: there is none that we may read.
    """
    try:
        _refuse_special(path, path.stat())  # before opening: opening a device can do things
        file = os.open(path, _OPENING)
    except (OSError, ValueError) as error:
        raise _unreadable(path, getattr(error, "strerror", None) or str(error)) from error
    try:
        _refuse_special(path, os.fstat(file))
        yield file
    finally:
        os.close(file)


def _refuse_special(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise _unreadable(path, "it is no regular file")


def _unreadable(path: Path, why: str) -> FileUnreadable:
    return FileUnreadable(
        f"{str(path)!r} cannot be read: {why}.",
        remedy="Check that it is still there and that this user may read it.",
    )


def _stamp(file: int) -> Stamp:
    return stamp_of(os.fstat(file))
