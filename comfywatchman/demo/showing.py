"""What a person sees while the demo runs: bars on a terminal, quiet lines elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn

from comfywatchman.demo.board import Key
from comfywatchman.report.visible import shortened


class Showing:
    """Lines on *console*, and below them a bar for each transfer if it is a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tasks: dict[Key, TaskID] = {}
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            DownloadColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def say(self, text: str) -> None:
        """Print one line."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def transfers(self, done: Mapping[Key, tuple[int, int | None]]) -> None:
        """Show exactly these transfers, with the bytes that are here and the size."""
        for key in [key for key in self._tasks if key not in done]:
            self._bars.remove_task(self._tasks.pop(key))
        for key, (here, size) in done.items():
            if key not in self._tasks:
                self._tasks[key] = self._bars.add_task(shortened("/".join(key)), total=size)
            self._bars.update(self._tasks[key], completed=here, total=size)
