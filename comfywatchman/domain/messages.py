"""What happened."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from comfywatchman.domain.candidates import Candidate, Mismatch
from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.files import Measured, Reading, Stamp
from comfywatchman.domain.jobs import Cause
from comfywatchman.domain.references import Analysis


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
    trouble: Trouble | None = None
    """Why no loader could use it as it is."""


@dataclass(frozen=True, slots=True)
class ModelIndexed:
    """A model file was measured."""

    path: Path
    folder: str | None
    name: str
    reading: Reading
    duration_seconds: float

    @property
    def measured(self) -> Measured:
        return self.reading.measured

    @property
    def stamp(self) -> Stamp:
        return self.reading.stamp


@dataclass(frozen=True, slots=True)
class ModelVerified:
    """A model file was read again, and its bytes are the ones that were measured before."""

    path: Path
    reading: Reading


@dataclass(frozen=True, slots=True)
class InventoryProgressed:
    """How far measuring is: at most one a minute, and none where it takes no minute."""

    files: int
    """How many wait."""
    size: int
    """How many bytes they come to."""
    bytes_per_second: float
    remaining_seconds: float | None
    """``None`` while nobody can say."""
    paused: bool = False
    """ComfyUI runs a prompt."""


@dataclass(frozen=True, slots=True)
class ModelChanged:
    path: Path


@dataclass(frozen=True, slots=True)
class ModelMoved:
    path: Path
    before: Path
    stamp: Stamp | None = None
    same_bytes: bool = True
    """A sample of the bytes is as it was; otherwise the hash is forgotten."""
    proven: bool = True
    """Nothing but the rename can have happened; otherwise the file is measured once more."""
    exchanged: bool = False
    """Another file has the name *before* now, and what is known of that is for it to say."""
    reading: Reading | None = None
    """Where that is so: what is known of the bytes, as of now."""


@dataclass(frozen=True, slots=True)
class ModelRemoved:
    path: Path


@dataclass(frozen=True, slots=True)
class ModelCorrupt:
    """A model file is no such thing, or not any more."""

    path: Path
    trouble: Trouble
    reading: Reading | None = None
    """Set where its bytes are other ones than before, though its stamp is the same: decay."""


@dataclass(frozen=True, slots=True)
class ReferenceResolved:
    folder: str
    name: str
    sources: tuple[Candidate, ...]
    chosen: bool = False
    """By a person."""


@dataclass(frozen=True, slots=True)
class ReferenceAmbiguous:
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
    mismatches: tuple[Mismatch, ...] = ()


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
    lost: int = 0
    """Bytes that an earlier try left and that could not be gone on with."""


@dataclass(frozen=True, slots=True)
class DownloadProgressed:
    """At most one every few seconds for each transfer; never stored."""

    folder: str
    name: str
    done: int
    size: int | None
    bytes_per_second: float

    @property
    def remaining_seconds(self) -> float | None:
        """``None`` while nobody can say."""
        if self.size is None or self.bytes_per_second <= 0:
            return None
        return max(0, self.size - self.done) / self.bytes_per_second


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
    promised: bool = True
    """False where nobody published a hash: size and structure are all that was looked at."""


@dataclass(frozen=True, slots=True)
class DownloadQuarantined:
    folder: str
    name: str
    path: Path
    trouble: Trouble


@dataclass(frozen=True, slots=True)
class DownloadPaused:
    """We broke a transfer off ourselves; what came of it is kept."""

    folder: str
    name: str
    reason: str
    """``canceled``, ``hours`` (out of download.windows), ``urgent`` (another goes first),
    ``question`` or ``replaced`` (another workflow means another file)."""
    done: int


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
    sample: str | None = None
    """Of both ends of the file, to know it again under another name."""
    promised: bool = True
    """False where nobody published a hash, so that nothing proves that it is the file."""


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
    | ModelVerified
    | InventoryProgressed
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
    | DownloadPaused
    | DownloadRetrying
    | DownloadFailed
    | ModelPlaced
    | JobFailed
    | JobSetAside
    | ErrorMet
)
