"""What a running server says about files: whether it lists what was placed, and what it lacked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from comfywatchman.comfyui.asking import Answers, Inquiry
from comfywatchman.comfyui.heard import ended_runs
from comfywatchman.comfyui.told import compare, keep_told
from comfywatchman.domain.errors import NameNotListed, WatchmanError, WrongAnswer
from comfywatchman.domain.files import CHECKPOINT_SUFFIXES, PACK_KEYS
from comfywatchman.domain.messages import ErrorMet, ModelPlaced

if TYPE_CHECKING:
    from comfywatchman.daemon.installation import Place

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
            seen = _is_seen(placed, inquiry, lists)
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


def _is_seen(
    placed: ModelPlaced, inquiry: Inquiry, lists: dict[str, frozenset[str] | None]
) -> bool:
    """Say whether the server lists a model, or has no list that it would have to be in.

    Packs list under keys of their own what ComfyUI leaves out (``.gguf``). *lists* grows by what is
    asked for.
    """
    folder = placed.folder
    has_list = []
    for key in (folder, *(key for key, means in PACK_KEYS.items() if means == folder)):
        if key not in lists:
            lists[key] = inquiry.listed(key)
        names = lists[key]
        if names is not None and placed.name in names:
            return True
        has_list += [key] if names is not None else []
    by_comfyui = PurePosixPath(placed.name).suffix.lower() in CHECKPOINT_SUFFIXES
    return not has_list or (has_list == [folder] and not by_comfyui)


def _not_listed(placed: ModelPlaced, url: str) -> ErrorMet:
    trouble = NameNotListed(
        f"The ComfyUI server at {url} does not list {placed.folder}/{placed.name}, which lies at "
        f"{placed.path}.",
        remedy="Compare its directories (extra_model_paths.yaml, --base-directory, its container) "
        "with comfyui_root, and give the same ones here.",
    ).trouble()
    return ErrorMet(trouble, placed.path)


@dataclass(slots=True)
class Directories:
    """Compares the directories that a server reads with ours; owned by one thread."""

    _told: frozenset[str] = frozenset()
    """The folders of which was told that the server reads other ones."""

    def take(self, server: str, answers: Answers, place: Place) -> Iterator[ErrorMet]:
        """Keep what is to be followed; yield an error for each folder that cannot be.

        Who reads the file again finds the server's directories in the folder table.

        Raises:
            OSError: it cannot be kept.
        """
        if answers.paths is None:
            return
        own = place.layout.own or place.layout.folders
        told = compare(answers.paths, answers.lists(), own)
        keep_told(place.state_directory, server, told.followed)
        for name, read in told.doubtful.items():
            target = own.folder(name).write_root
            if name not in self._told and target is not None:
                yield _read_elsewhere(name, server, read, target)
        self._told = frozenset(told.doubtful)


def _read_elsewhere(folder: str, url: str, read: Path, target: Path) -> ErrorMet:
    trouble = NameNotListed(
        f"The ComfyUI server at {url} reads {folder} from {read} and not from {target}, where "
        "they are placed.",
        remedy="If it is the same installation, give its directories here (comfyui_root, "
        "comfyui.base_directory); if it is another one, correct comfyui.url.",
    ).trouble()
    return ErrorMet(trouble, target)


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
    verify: bool = True
    """Whether it is asked for what was placed."""
    refresh: bool = True
    """Whether it is to look for what was placed."""
    placements: Placements = field(default_factory=Placements)
    runs: FailedRuns = field(default_factory=FailedRuns)
    _fresh: bool = False
    """Whether something was placed that it was not asked to look for."""

    def note(self, placed: ModelPlaced) -> None:
        """Note that a model was placed; called by any thread."""
        if self.verify:
            self.placements.add(placed)
        self._fresh = self.refresh

    def errors(self, *, running: bool) -> list[ErrorMet]:
        """Return what the server does not list of what was placed, if it is *running*.

        Before that it is asked to look for new files, so that its editors list them.
        """
        if not running:
            self.runs.forget()
            return []
        inquiry = Inquiry(self.url)
        if self._fresh:
            self._fresh = False
            with suppress(WatchmanError):
                inquiry.rescan()
        return list(self.placements.check(inquiry)) if self.verify else []

    def names(self) -> list[str]:
        return self.runs.names(Inquiry(self.url))
