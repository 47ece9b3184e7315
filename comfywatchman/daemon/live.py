"""What is known only while it happens: transfers, and what went wrong lately."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime

from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.messages import (
    DownloadFailed,
    DownloadPaused,
    DownloadProgressed,
    DownloadRetrying,
    DownloadStarted,
    ErrorMet,
    Event,
    ModelPlaced,
    ReferenceUnresolved,
    RootOffline,
    WorkflowAnalyzed,
)
from comfywatchman.domain.references import Analysis, ReferenceState
from comfywatchman.server.window import ErrorLine

MOST_ERRORS = 100


@dataclass(frozen=True, slots=True)
class Transfer:
    """How far one transfer is."""

    source: str
    host: str
    size: int | None
    done: int
    bytes_per_second: float = 0.0
    remaining_seconds: float | None = None


@dataclass(slots=True)
class Live:
    """What is known only while it happens: transfers, and what went wrong lately.

    Written by whichever thread tells an event, one dictionary entry at a time.
    """

    transfers: dict[tuple[str, str], Transfer] = field(default_factory=dict)
    errors: deque[ErrorLine] = field(default_factory=lambda: deque(maxlen=MOST_ERRORS))
    over: dict[str, datetime] = field(default_factory=dict)
    """Models of which something was told, and when they turned out not to be missing any more."""

    def observe(self, event: Event) -> None:
        match event:
            case DownloadStarted():
                self.transfers[event.folder, event.name] = Transfer(
                    event.source, event.host, event.size, event.offset
                )
            case DownloadProgressed():
                before = self.transfers.get((event.folder, event.name))
                if before is not None:
                    self.transfers[event.folder, event.name] = Transfer(
                        before.source,
                        before.host,
                        event.size,
                        event.done,
                        event.bytes_per_second,
                        event.remaining_seconds,
                    )
            case ModelPlaced(folder=folder, name=name) | DownloadPaused(folder=folder, name=name):
                self.transfers.pop((folder, name), None)
            case (
                DownloadFailed(folder=folder, name=name, trouble=trouble)
                | DownloadRetrying(folder=folder, name=name, trouble=trouble)
                | ReferenceUnresolved(folder=folder, name=name, trouble=trouble)
            ):
                self.transfers.pop((folder, name), None)
                self._error(type(event).__name__, f"{folder}/{name}", trouble)
            case ErrorMet(trouble=trouble, path=path):
                self._error("ErrorMet", str(path or ""), trouble)
            case RootOffline(root=root, trouble=trouble):
                self._error("RootOffline", str(root), trouble)
            case WorkflowAnalyzed(analysis=analysis):
                self._note_what_is_over(analysis)
            case _:
                pass

    def standing_errors(self) -> list[ErrorLine]:
        """Return what went wrong lately, but for models that are not missing any more."""
        return [
            line
            for line in list(self.errors)
            if line.about not in self.over or self.over[line.about] < line.at
        ]

    def _note_what_is_over(self, analysis: Analysis) -> None:
        told = {line.about for line in list(self.errors)}
        now = datetime.now(UTC)
        for finding in analysis.findings:
            about = f"{finding.reference.folder}/{finding.reference.name}"
            if about in told and finding.state is not ReferenceState.MISSING:
                self.over[about] = now
        for about in self.over.keys() - told:
            del self.over[about]

    def _error(self, event: str, about: str, trouble: Trouble) -> None:
        self.errors.appendleft(
            ErrorLine(at=datetime.now(UTC), event=event, about=about, error=trouble)
        )
