"""The values that the API takes and gives. Sizes are bytes, times seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class ModelReference:
    """One request for one model file, by a widget of a workflow."""

    filename: str
    """As the workflow names it, with ``/`` between a subfolder and the name."""
    node_type: str = ""
    expected_type: str | None = None
    """What kind of model it is, in one word: ``lora``, ``checkpoint``, ``vae``."""
    expected_directory: str | None = None
    """ComfyUI's folder name: ``loras``; ``None`` where neither the file nor a table tells it."""
    widget_values: Mapping[str, str] = field(default_factory=dict)
    """The widget that names it, and what stands there."""
    node_id: str = ""
    """Id path through subgraphs: ``12`` or ``57:3``."""
    active: bool = True
    """False: muted, bypassed, switched off."""
    state: str | None = None
    """``present``, ``missing``, …: as in the report; ``None`` before anybody looked at the disk."""
    path: Path | None = None
    """The file that is here."""
    size_bytes: int | None = None
    hash_sha256: str | None = None
    """Of the file that is here, or the one that the workflow promises."""
    urls: tuple[str, ...] = ()
    """Where the workflow says that it comes from."""
    short_hashes: tuple[tuple[str, str], ...] = ()
    """(kind, digits) that texts of other programs say about its bytes."""
    nodes: tuple[str, ...] = ()
    """Every node that asks for it."""
    suggestion: str | None = None
    """What a person can do about it."""


@dataclass(frozen=True, slots=True)
class WorkflowData:
    """What one file says, before anybody looked at the disk."""

    path: Path
    workflow_id: str
    """The id in the file, else the SHA-256 of its bytes."""
    nodes: tuple[Mapping[str, Any], ...] = ()
    """The nodes as the file has them, those at the top; of a prompt each with its ``id``."""
    model_references: tuple[ModelReference, ...] = ()
    custom_node_types: tuple[str, ...] = ()
    """Node types that do not come with ComfyUI."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """``container``, ``format``, ``taken``, ``sha256``, and ``version`` where there is one."""
    error: str | None = None
    """Why it cannot be read; then the rest is empty."""


@dataclass(frozen=True, slots=True)
class WorkflowValidation:
    """What is wrong in a workflow itself; true where nothing is an error."""

    valid: bool
    findings: tuple[Mapping[str, Any], ...] = ()
    """``code``, ``severity``, ``pointer``, ``message``, ``node``, ``node_type``."""

    def __bool__(self) -> bool:
        return self.valid


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model file that is here."""

    name: str
    """As ComfyUI lists it: relative to a root of its folder."""
    path: Path
    hash: str | None = None
    """SHA-256, where it was measured."""
    type_hint: str | None = None
    """The folder that it lies in."""
    size_bytes: int = 0
    civitai_id: int | None = None
    civitai_version_id: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MissingNode:
    """A node type that is not installed, or that nobody knows to be."""

    type: str
    state: str
    """``missing`` or ``unknown``."""
    count: int = 1
    pack_id: str | None = None
    pack_title: str | None = None
    pack_url: str | None = None


@dataclass(frozen=True, slots=True)
class AnalysisResult:
    """What workflows need, have and lack; each model once."""

    missing_models: tuple[ModelReference, ...] = ()
    missing_nodes: tuple[MissingNode, ...] = ()
    available_models: tuple[ModelReference, ...] = ()
    suggestions: tuple[str, ...] = ()
    timestamp: datetime = field(default_factory=lambda: datetime.now(UTC))
    workflows: tuple[Path, ...] = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Path -> why it cannot be read."""
    report: Mapping[str, Any] = field(default_factory=dict)
    """The report of ``analyze --json``; see docs/report.md."""

    @property
    def ready(self) -> bool:
        """Whether every workflow was read and lacks no model."""
        return not self.missing_models and not self.unreadable

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that `json.dumps` takes."""
        return {key: plain(value) for key, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class DownloadCounts:
    """Models that were to be fetched in a run, and what became of them."""

    planned: int = 0
    finished: int = 0
    failed: int = 0
    skipped: int = 0
    """Missing, and not fetched: no source, a question for a person, downloads switched off."""


@dataclass(frozen=True, slots=True)
class WorkflowRun:
    """What `ComfyFixerCore.run` came to; models are counted once each."""

    run_id: str
    status: str
    """``completed`` (nothing is missing any more), ``incomplete``, or ``failed`` (a workflow could
    not be read)."""
    workflows_scanned: int = 0
    models_found: int = 0
    """Models that the workflows ask for."""
    models_missing: int = 0
    """Those that were not there at the beginning."""
    models_resolved: int = 0
    """Those of them that are there now."""
    downloads: DownloadCounts = DownloadCounts()
    analysis: AnalysisResult = field(default_factory=AnalysisResult)
    """How it stands at the end."""
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    finished_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that `json.dumps` takes."""
        return {key: plain(value) for key, value in asdict(self).items()}


def plain(value: Any) -> Any:
    """Return a value of this module as JSON's own types."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return {key: plain(item) for key, item in asdict(value).items()}
    return value
