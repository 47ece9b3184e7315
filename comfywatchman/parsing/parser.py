"""Hands files of strangers to a child process and brings back what they say."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing, contextmanager
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from comfywatchman.analyze.limits import Limits
from comfywatchman.domain.errors import FileUnreadable, ParserFailed
from comfywatchman.domain.files import Stamp
from comfywatchman.domain.references import WorkflowContent
from comfywatchman.parsing.tables import shipped_tables
from comfywatchman.parsing.wire import (
    Answer,
    Bounds,
    ConnectionEnded,
    Hello,
    Ready,
    Request,
    receive,
    send,
)

_DEADLINE_SECONDS = 15.0
_IDLE_SECONDS = 60.0
_FILES_PER_CHILD = 500
"""Then a new one: what the allocator keeps is given back."""

_PASSED_ON = ("LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PATH", "SYSTEMROOT")
"""The environment of the child; tokens stay here."""

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

    The child starts with the first file and is started anew after a failure, after some hundred
    files, and after `close_when_idle` let it go.
    """

    def __init__(
        self,
        extra_loaders: Sequence[str] = (),
        *,
        limits: Limits | None = None,
        bounds: Bounds | None = None,
        deadline_seconds: float = _DEADLINE_SECONDS,
    ) -> None:
        """Prepare; nothing is started yet.

        Raises:
            SettingsInvalid: one of *extra_loaders* is no line of the loader table.
        """
        self._tables = shipped_tables(extra_loaders)
        self._hello = Hello(limits or Limits(), bounds or Bounds(), tuple(extra_loaders))
        self._deadline = deadline_seconds
        self._reader: _Reader | None = None
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

    def close(self) -> None:
        """End the child; the next file starts another one."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def close_when_idle(self, now: float) -> None:
        """End the child if nothing was read for a minute; *now* is `time.monotonic`."""
        if self._reader is not None and now - self._last_used > _IDLE_SECONDS:
            self.close()

    def read(self, path: Path) -> Parsed:
        """Return what the file at *path* says. Links are followed.

        A file that breaks or stalls the child is an answer too, with the trouble ``parser-failed``.

        Raises:
            FileUnreadable: it is gone, no regular file, or we may not read it.
        """
        with _opened(path) as file:
            return self._read(file, path.name)

    def read_bytes(self, data: bytes, filename: str) -> Parsed:
        """Return what *data* says, as if it were a file of that name (stdin, a request's body)."""
        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.flush()
            return self._read(file.fileno(), filename)

    def _read(self, file: int, filename: str) -> Parsed:
        before = _stamp(file)
        answer = self._answer(file, filename)
        content = answer.content
        if content is None:
            content = _failed(answer.failure or "it said nothing")
        return Parsed(content, answer.sha256, before, changed=_stamp(file) != before)

    def _answer(self, file: int, filename: str) -> Answer:
        if self._files >= _FILES_PER_CHILD:
            self.close()
        request = Request(filename)
        try:
            reader = self._started()
            try:
                reader.send(request, file)
            except OSError:  # an idle child may have been ended by somebody else
                self.close()
                reader = self._started()
                reader.send(request, file)
            answer = reader.answer()
        except (ConnectionEnded, OSError) as error:
            return Answer(failure=self._post_mortem(error))
        if answer.failure is not None:
            self.close()
        self._files += 1
        self._last_used = time.monotonic()
        return answer

    def _started(self) -> _Reader:
        if self._reader is None:
            if hasattr(socket, "send_fds"):
                self._reader = _Child(self._hello, self._deadline)
            else:
                self._reader = _Here(self)
            self._files = 0
        return self._reader
