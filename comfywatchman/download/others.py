"""Handlers that other people bring: an installed package's, or one from a file of the user's."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path

from comfywatchman.disk.part import Part
from comfywatchman.disk.plugin import made_by
from comfywatchman.domain.candidates import Candidate
from comfywatchman.domain.errors import SettingsInvalid
from comfywatchman.domain.files import Expected, Mark
from comfywatchman.download.handler import DownloadHandler, Fetched, OnProgress, OnStart
from comfywatchman.download.simple import DownloadHandler as SimpleHandler
from comfywatchman.download.simple import Simple

GROUP = "comfywatchman.handlers"
"""Each entry point names something that, called without arguments, gives a `DownloadHandler`, ours
or that of the Python API (`download.simple`)."""
FACTORY = "handler"
"""What such a function is called in a file."""


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """A handler whose word about what it brought is not taken: its part is read again."""

    handler: DownloadHandler

    def supports_url(self, url: str) -> bool:
        return self.handler.supports_url(url)

    def download(
        self,
        source: Candidate,
        part: Part,
        *,
        expected: Expected,
        mark: Mark | None,
        on_start: OnStart,
        on_progress: OnProgress,
        stop: threading.Event,
    ) -> Fetched:
        fetched = self.handler.download(
            source,
            part,
            expected=expected,
            mark=mark,
            on_start=on_start,
            on_progress=on_progress,
            stop=stop,
        )
        return replace(fetched, measured=None)


def other_handlers() -> Sequence[DownloadHandler]:
    """Return the handlers of all installed packages, in the order of their names."""
    found = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    return [guarded(point.load()()) for point in found]


def named_handlers(names: Sequence[str]) -> Sequence[DownloadHandler]:
    """Return the handlers that the settings name: of packages, or of Python files.

    Raises:
        SettingsInvalid: there is none of that name, or it cannot be made.
    """
    return [_named(name) for name in names]


def guarded(handler: DownloadHandler | SimpleHandler) -> DownloadHandler:
    """Return somebody's *handler*, of either kind, as we fetch with it."""
    return Simple(handler) if isinstance(handler, SimpleHandler) else Unmeasured(handler)


def _named(name: str) -> DownloadHandler:
    try:
        made = _of_file(Path(name)) if name.endswith(".py") else _of_package(name)
    except SettingsInvalid:
        raise
    except Exception as error:
        raise _invalid(name, f"{type(error).__name__}: {error}") from error
    return guarded(made)


def _of_package(name: str) -> DownloadHandler | SimpleHandler:
    for point in entry_points(group=GROUP, name=name):
        found: DownloadHandler | SimpleHandler = point.load()()
        return found
    raise _invalid(name, f"no installed package has an entry point of that name in {GROUP}")


def _of_file(path: Path) -> DownloadHandler | SimpleHandler:
    if not path.expanduser().is_file():
        raise _invalid(str(path), "there is no such file")
    found: DownloadHandler | SimpleHandler = made_by(path, FACTORY, "handler")
    return found


def _invalid(name: str, why: str) -> SettingsInvalid:
    return SettingsInvalid(
        f"download.handlers: {name} cannot be used: {why}.",
        remedy="Correct it, or take it out of download.handlers.",
    )
