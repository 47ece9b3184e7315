"""What a running server says about files: whether it lists what was placed, and what it lacked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from comfywatchman.comfyui.asking import Inquiry
from comfywatchman.comfyui.heard import ended_runs
from comfywatchman.domain.errors import NameNotListed, WrongAnswer
from comfywatchman.domain.messages import ErrorMet, ModelPlaced

_MOST_WAITING = 1000
_LOOKS = 2
"""A placed file has to be lacking in so many looks: a server reads its lists anew when asked."""


@dataclass(slots=True)
class Placements:
    """Models that were placed, until a server was seen to list them; any thread may add."""

    _waiting: dict[Path, tuple[ModelPlaced, int]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, placed: ModelPlaced) -> None:
        with self._lock:
            if len(self._waiting) < _MOST_WAITING:
                self._waiting[placed.path] = placed, 0

    def check(self, inquiry: Inquiry) -> Iterator[ErrorMet]:
        """Ask for the lists of their folders; yield an error for each that is not there.

        Raises:
            WatchmanError: the server does not answer.
        """
        with self._lock:
            rows = list(self._waiting.items())
        lists: dict[str, frozenset[str] | None] = {}
        for path, (placed, looks) in rows:
            if placed.folder not in lists:
                lists[placed.folder] = inquiry.listed(placed.folder)
            names = lists[placed.folder]
            seen = names is None or placed.name in names
            if seen or looks + 1 >= _LOOKS or not path.exists():
                self._forget(path)
            else:
                with self._lock:
                    self._waiting[path] = placed, looks + 1
            if not seen and looks + 1 >= _LOOKS and path.exists():
                yield _not_listed(placed, inquiry.url)

    def _forget(self, path: Path) -> None:
        with self._lock:
            self._waiting.pop(path, None)


def _not_listed(placed: ModelPlaced, url: str) -> ErrorMet:
    trouble = NameNotListed(
        f"The ComfyUI server at {url} does not list {placed.folder}/{placed.name}, which lies at "
        f"{placed.path}.",
        remedy="Compare its directories (extra_model_paths.yaml, --base-directory, its container) "
        "with comfyui_root, and give the same ones here.",
    ).trouble()
    return ErrorMet(trouble, placed.path)


@dataclass(slots=True)
class FailedRuns:
    """Knows which runs of a server were looked at; owned by one thread."""

    _known: set[str] | None = None

    def names(self, inquiry: Inquiry) -> list[str]:
        """Return the files that runs lacked which ended since the last look.

        What had ended before the first look is of yesterday: it is only noted.

        Raises:
            WatchmanError: the server does not answer.
        """
        try:
            runs = ended_runs(inquiry.recent())
        except (ValueError, WrongAnswer):
            return []  # an older server, or something before it: runs are not its business
        first = self._known is None
        before = self._known or set()
        self._known = before | {run.prompt_id for run in runs}
        if first:
            return []
        new = [run for run in runs if run.prompt_id not in before]
        return list(dict.fromkeys(name for run in new for name in run.names))

    def forget(self) -> None:
        """Begin again: the server went away."""
        self._known = set() if self._known is not None else None


@dataclass(slots=True)
class Heard:
    """What is known of one server."""

    url: str
    placements: Placements = field(default_factory=Placements)
    runs: FailedRuns = field(default_factory=FailedRuns)

    def errors(self, *, running: bool) -> list[ErrorMet]:
        """Return what the server does not list of what was placed, if it is *running*."""
        if not running:
            self.runs.forget()
            return []
        return list(self.placements.check(Inquiry(self.url)))

    def names(self) -> list[str]:
        return self.runs.names(Inquiry(self.url))
