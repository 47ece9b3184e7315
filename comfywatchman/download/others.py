"""Handlers that other packages bring, for addresses that ours do not know."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import entry_points

from comfywatchman.disk.part import Part
from comfywatchman.domain.candidates import Candidate
from comfywatchman.domain.files import Expected, Mark
from comfywatchman.download.handler import DownloadHandler, Fetched, OnProgress, OnStart

GROUP = "comfywatchman.handlers"
"""Each entry point names something that, called without arguments, gives a `DownloadHandler`."""


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
    return [Unmeasured(point.load()()) for point in found]
