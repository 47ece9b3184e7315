"""The real daemon in a process of its own, as the demo runs it."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from comfywatchman.demo.board import Line

_STOP_SECONDS = 10.0


class Watchman:
    """``comfywatchman run`` with its log in *log* and, line by line, in a queue.

    It gets a session of its own, so that Ctrl-C reaches the demo alone, which then stops it.
    """

    def __init__(self, settings: Path, log: Path, environment: Mapping[str, str]) -> None:
        self._command = [sys.executable, "-P", "-m", "comfywatchman", "run"]
        self._command += ["--config", str(settings), "--log-format", "json"]
        self._log = log
        self._environment = dict(environment)
        self._lines: queue.SimpleQueue[Line | None] = queue.SimpleQueue()
        self.last_words: deque[str] = deque(maxlen=12)
        """What it wrote that is no log line: a traceback, an error of the settings."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        assert self._process.stderr is not None  # noqa: S101 - it was asked for
        self._reader = threading.Thread(target=self._read, args=(self._process.stderr,))
        self._reader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self._reader.join()

    @property
    def pid(self) -> int:
        return self._process.pid

    def next_line(self, seconds: float) -> Line | None:
        """Return the next log line, or ``None`` where none came for *seconds*."""
        try:
            return self._lines.get(timeout=seconds)
        except queue.Empty:
            return None

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def stop(self) -> int:
        """Ask it to stop, wait, and return its exit status; killed where it does not stop."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            return self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _read(self, stream: IO[str]) -> None:
        with stream, self._log.open("w", encoding="utf-8") as log:
            for text in stream:
                log.write(text)
                log.flush()
                line = _parsed(text)
                if line is None:
                    self.last_words.append(text.rstrip())
                else:
                    self._lines.put(line)


def _parsed(text: str) -> Line | None:
    try:
        line = json.loads(text)
    except json.JSONDecodeError:
        return None
    return line if isinstance(line, dict) else None
