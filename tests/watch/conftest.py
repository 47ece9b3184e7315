from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue

import pytest

from comfywatchman.watch.notice import News, Notice, Noticed, Polling, WatchRoot
from comfywatchman.watch.watcher import Watcher

LIMIT_SECONDS = 10.0


@dataclass
class Watched:
    """A watcher on real directories, and what it told so far."""

    watcher: Watcher
    news: SimpleQueue[Noticed]
    told: list[Noticed] = field(default_factory=list)

    def wait_for(self, path: Path, kind: Notice) -> None:
        """Take notices until this one came; a test fails that waits in vain."""
        self.wait_until(lambda: Noticed(path, kind) in self.told, f"{kind} of {path}")

    def wait_until(self, true: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + LIMIT_SECONDS
        while not true():
            try:
                self.told.append(self.news.get(timeout=max(0.0, deadline - time.monotonic())))
            except Empty:
                pytest.fail(f"no {what}; told: {self.told}")

    def flush(self, directory: Path) -> list[Noticed]:
        """Take, and forget, all that was told before this moment."""
        mark = directory / "mark"
        mark.touch()
        self.wait_for(mark, Notice.CHANGED)
        mark.unlink()
        self.wait_for(mark, Notice.REMOVED)
        told = [noticed for noticed in self.told if noticed.path != mark]
        self.told.clear()
        return told

    def answered(self) -> bool:
        """Ask for a sign of life until there is one: an overflow swallows the answer, too."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < deadline:
            assert self.watcher.probe(time.monotonic()) > 0
            with suppress(Empty):
                self.told.append(self.news.get(timeout=0.05))
            if self.watcher.probe_answered():
                return True
        return False


Start = Callable[..., Watched]


@pytest.fixture
def watching() -> Iterator[Start]:
    """Start watchers that end with the test."""
    started: list[Watcher] = []

    def start(
        *roots: Path,
        polling: Polling = Polling.AUTO,
        news: SimpleQueue[Noticed] | None = None,
    ) -> Watched:
        queue: SimpleQueue[Noticed] = News() if news is None else news
        watcher = Watcher(queue, polling=polling)
        started.append(watcher)
        watcher.start([WatchRoot(root, "models") for root in roots])
        return Watched(watcher, queue)

    yield start
    for watcher in started:
        watcher.stop()
