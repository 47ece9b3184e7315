"""Events (what happened) and jobs (what to do)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

from comfywatchman.domain.candidates import Candidate
from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.files import Measured, Stamp
from comfywatchman.domain.references import Analysis


class Cause(StrEnum):
    """Why a workflow is analyzed, which decides how far the news goes."""

    CHANGED = "changed"
    """The workflow is new or was edited, or a person asked: everything may be asked and fetched."""
    ARRIVED = "arrived"
    """A model came: what was asked before and failed is not asked again."""
    REMOVED = "removed"
    """A model went: told, but not fetched again behind the back of whoever removed it."""


# -- jobs: each has a natural key, so that asking twice is asking once


@dataclass(frozen=True, slots=True)
class AnalyzeWorkflow:
    """Read the workflow and compare it with the disk."""

    kind: ClassVar[str] = "analyze"
    path: Path
    cause: Cause = Cause.CHANGED

    @property
    def key(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class ResolveReference:
    """Find out where a missing model can be had."""

    kind: ClassVar[str] = "resolve"
    folder: str
    name: str

    @property
    def key(self) -> str:
        return f"{self.folder}/{self.name}"


@dataclass(frozen=True, slots=True)
class FetchModel:
    """Bring the bytes and place them."""

    kind: ClassVar[str] = "fetch"
    folder: str
    name: str
    sources: tuple[Candidate, ...]
    """Mirrors of one file, best first."""

    @property
    def key(self) -> str:
        return f"{self.folder}/{self.name}"


Job = AnalyzeWorkflow | ResolveReference | FetchModel
JOB_TYPES: dict[str, type[Job]] = {
    job.kind: job for job in (AnalyzeWorkflow, ResolveReference, FetchModel)
}

# -- events


@dataclass(frozen=True, slots=True)
class DaemonStarted:
    comfyui_root: Path
    pid: int


@dataclass(frozen=True, slots=True)
class DaemonReady:
    duration_seconds: float
    address: str | None
    """``host:port`` of the HTTP server, as bound."""


@dataclass(frozen=True, slots=True)
class DaemonStopping:
    reason: str


@dataclass(frozen=True, slots=True)
class DaemonStopped:
    duration_seconds: float


@dataclass(frozen=True, slots=True)
class WatchStarted:
    root: Path
    kind: str
    """``workflows`` or ``models``."""
    method: str
    """``events`` or ``polling``."""
    directories: int


@dataclass(frozen=True, slots=True)
class WatchDegraded:
    """Part of a root is not watched by notifications; sweeps cover it."""

    root: Path
    trouble: Trouble


@dataclass(frozen=True, slots=True)
class WatchOverflowed:
    """The kernel threw notifications away; a sweep follows."""


@dataclass(frozen=True, slots=True)
class RootOffline:
    root: Path
    trouble: Trouble


@dataclass(frozen=True, slots=True)
class RootOnline:
    root: Path


@dataclass(frozen=True, slots=True)
class SweepStarted:
    reason: str


@dataclass(frozen=True, slots=True)
class SweepFinished:
    reason: str
    duration_seconds: float
    workflows: int
    models: int
    drift: tuple[tuple[str, int], ...] = ()
    """(kind, count) of what no notification had told: added, changed, removed."""


@dataclass(frozen=True, slots=True)
class WorkflowSettled:
    path: Path
    size: int


@dataclass(frozen=True, slots=True)
class WorkflowRemoved:
    path: Path


@dataclass(frozen=True, slots=True)
class WorkflowAnalyzed:
    analysis: Analysis
    duration_seconds: float
    cause: Cause = Cause.CHANGED
    stamp: Stamp | None = None
    """Of the file that was read; ``None`` where it could not be looked at."""


@dataclass(frozen=True, slots=True)
class ModelFound:
    """A file came to rest in a model folder; its bytes are not measured yet."""

    path: Path
    size: int
    whole: bool
    stamp: Stamp | None = None


@dataclass(frozen=True, slots=True)
class ModelIndexed:
    """A model file was measured."""

    path: Path
    folder: str | None
    name: str
    measured: Measured
    duration_seconds: float
    stamp: Stamp | None = None


@dataclass(frozen=True, slots=True)
class ModelChanged:
    path: Path


@dataclass(frozen=True, slots=True)
class ModelMoved:
    path: Path
    before: Path
    stamp: Stamp | None = None


@dataclass(frozen=True, slots=True)
class ModelRemoved:
    path: Path


@dataclass(frozen=True, slots=True)
class ModelCorrupt:
    path: Path
    trouble: Trouble


@dataclass(frozen=True, slots=True)
class ReferenceResolved:
    folder: str
    name: str
    sources: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class ReferenceAmbiguous:
    """A person has to choose."""

    folder: str
    name: str
    candidates: tuple[Candidate, ...]
    trouble: Trouble


@dataclass(frozen=True, slots=True)
class ReferenceUnresolved:
    folder: str
    name: str
    trouble: Trouble


@dataclass(frozen=True, slots=True)
class SearchAsked:
    backend: str
    folder: str
    name: str
    result: str
    """answered, empty, unavailable or mismatch."""
    duration_seconds: float
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True)
class DownloadQueued:
    folder: str
    name: str
    size: int | None


@dataclass(frozen=True, slots=True)
class DownloadStarted:
    folder: str
    name: str
    source: str
    host: str
    size: int | None
    offset: int
    """Bytes that an earlier try left; more than 0 means resumed."""


@dataclass(frozen=True, slots=True)
class DownloadProgressed:
    """At most one every few seconds for each transfer; never stored."""

    folder: str
    name: str
    done: int
    size: int | None
    bytes_per_second: float


@dataclass(frozen=True, slots=True)
class DownloadVerified:
    folder: str
    name: str
    source: str
    host: str
    measured: Measured
    duration_seconds: float
    received: int
    """Bytes that came over the network in this try."""


@dataclass(frozen=True, slots=True)
class DownloadQuarantined:
    folder: str
    name: str
    path: Path
    trouble: Trouble


@dataclass(frozen=True, slots=True)
class DownloadRetrying:
    folder: str
    name: str
    trouble: Trouble
    retry_in_seconds: float


@dataclass(frozen=True, slots=True)
class DownloadFailed:
    folder: str
    name: str
    source: str
    trouble: Trouble


@dataclass(frozen=True, slots=True)
class ModelPlaced:
    """A verified file got its final name."""

    folder: str
    name: str
    path: Path
    measured: Measured
    source: str
    linked_from: Path | None = None
    """The file on this machine that it is a link or copy of, where nothing was fetched."""
    stamp: Stamp | None = None


@dataclass(frozen=True, slots=True)
class JobFailed:
    kind: str
    key: str
    trouble: Trouble


@dataclass(frozen=True, slots=True)
class JobSetAside:
    kind: str
    key: str
    trouble: Trouble


@dataclass(frozen=True, slots=True)
class ErrorMet:
    """Something outside a job went wrong and is told once: a disk, a folder, a root."""

    trouble: Trouble
    path: Path | None = None
    fields: tuple[tuple[str, str], ...] = field(default=())


Event = (
    DaemonStarted
    | DaemonReady
    | DaemonStopping
    | DaemonStopped
    | WatchStarted
    | WatchDegraded
    | WatchOverflowed
    | RootOffline
    | RootOnline
    | SweepStarted
    | SweepFinished
    | WorkflowSettled
    | WorkflowRemoved
    | WorkflowAnalyzed
    | ModelFound
    | ModelIndexed
    | ModelChanged
    | ModelMoved
    | ModelRemoved
    | ModelCorrupt
    | ReferenceResolved
    | ReferenceAmbiguous
    | ReferenceUnresolved
    | SearchAsked
    | DownloadQueued
    | DownloadStarted
    | DownloadProgressed
    | DownloadVerified
    | DownloadQuarantined
    | DownloadRetrying
    | DownloadFailed
    | ModelPlaced
    | JobFailed
    | JobSetAside
    | ErrorMet
)
