"""What a person sees while files are read to their ends: bytes, speed, the time that is left."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from comfywatchman.cli.progress import bars_of_bytes
from comfywatchman.report.render.words import size_words
from comfywatchman.report.visible import shortened, visible

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_EVERY_SECONDS = 10.0
"""How often a line is written where there is no terminal."""


@dataclass(slots=True)
class Bars:
    """How far the reading is; told by the thread that reads."""

    total: int | None = None
    """Bytes of everything that will be read, where that is known beforehand."""
    quiet: bool = False
    shown: Progress | None = None
    _task: TaskID | None = None
    _done: int = 0
    """Of the files before."""
    _now: int = 0
    _size: int = 0
    _name: str = ""
    _began: float = field(default_factory=time.monotonic)
    _told: float = field(default_factory=time.monotonic)

    def begin(self, path: Path, size: int) -> None:
        """A file of *size* bytes is read next; the one before is done."""
        self.end()
        self._name, self._size, self._now = path.name, size, 0
        if self.shown is not None:
            if self._task is None:
                self._task = self.shown.add_task("", total=self.total or size)
            total = self.total if self.total is not None else self._done + size
            name = shortened(visible(path.name))
            self.shown.update(self._task, description=name, total=total)

    def at(self, read: int) -> None:
        """Note that *read* bytes of the file are read."""
        self._now = read
        if self.shown is not None and self._task is not None:
            self.shown.update(self._task, completed=self._done + read)
        elif not self.quiet and time.monotonic() - self._told >= _EVERY_SECONDS:
            self._told = time.monotonic()
            click.echo(self._line(), err=True)

    def end(self) -> None:
        """The file is read, or was left; it counts as done. Twice is once."""
        self._done += self._size
        self._now = self._size = 0

    def _line(self) -> str:
        done = self._done + self._now
        seconds = max(0.001, time.monotonic() - self._began)
        speed = done / seconds
        text = f"{size_words(done)} read"
        if self.total:
            left = max(0, self.total - done)
            text = f"{size_words(done)} of {size_words(self.total)} read"
            if speed > 0:
                text += f", {_duration(left / speed)} left"
        return f"{text}, {size_words(int(speed))}/s: {visible(self._name)}"


def _duration(seconds: float) -> str:
    whole = int(seconds + 0.5)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}"


@contextmanager
def reading_bars(*, quiet: bool, total: int | None = None) -> Iterator[Bars]:
    """Yield what is told how far the reading is, and shows it on stderr."""
    if quiet or not sys.stderr.isatty():
        yield Bars(total, quiet)
        return
    with bars_of_bytes(transient=True) as shown:
        yield Bars(total, quiet, shown)
