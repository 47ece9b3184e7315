"""What a workflow asks for, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from comfywatchman.domain.candidates import Candidate
from comfywatchman.domain.errors import Trouble


class Lookup(StrEnum):
    """How the loader finds the file that the widget names."""

    FILE = "file"
    """A path relative to a root of the folder, compared exactly."""
    STEM = "stem"
    """A name that may lack its suffix or its subfolder (``embedding:``, ``<lora:…>``)."""
    DIRECTORY = "directory"
    """A directory below a root of the folder (diffusers)."""
    AUTODOWNLOAD = "autodownload"
    """The node fetches it by itself."""
    DYNAMIC = "dynamic"
    """Another node computes the name when the workflow runs."""


class ReferenceState(StrEnum):
    PRESENT = "present"
    ELSEWHERE = "elsewhere"
    ARRIVING = "arriving"
    MISSING = "missing"
    AMBIGUOUS = "ambiguous"
    AUTODOWNLOAD = "autodownload"
    DYNAMIC = "dynamic"


class WorkflowState(StrEnum):
    READY = "ready"
    BLOCKED = "blocked"
    UNREADABLE = "unreadable"
    NOT_A_WORKFLOW = "not-a-workflow"


@dataclass(frozen=True, slots=True)
class Declared:
    """What the workflow itself says about where a model comes from."""

    url: str | None
    sha256: str | None
    origin: str
    """``properties.models``, ``models`` (top level) or ``note``."""
    directory: str | None = None
    """The folder it names, mapped from legacy names; ``None`` where it names none."""


@dataclass(frozen=True, slots=True)
class ModelReference:
    """One widget's request for one file (or what the node will find by itself)."""

    folder: str | None
    """ComfyUI's folder name; ``None`` where neither the file nor a table tells it."""
    name: str
    """As the workflow writes it, with backslashes turned to slashes."""
    raw: str
    node: str
    """Id path through subgraphs: ``12`` or ``57:3``."""
    node_type: str
    widget: str
    active: bool = True
    lookup: Lookup = Lookup.FILE
    also_folders: tuple[str, ...] = ()
    """Further folders the node looks in, after *folder*."""
    declared: tuple[Declared, ...] = ()
    """Best first: the node's own selected declaration, other nodes', top level, notes."""
    how: str = "widget"
    """Where the name stood: widget, api-input, subgraph-host, group-node, embedding-text, …"""
    nodes: tuple[str, ...] = ()
    """Every node that asks for the same (folder, name); *node* is the first of them."""


@dataclass(frozen=True, slots=True)
class NodeTypeUse:
    """A node type of the workflow, and what the file says about its pack."""

    type: str
    count: int
    cnr_id: str | None = None
    aux_id: str | None = None
    core: bool = False
    """Whether the table of ComfyUI's own node types, or the file, says that it is built in."""


class Severity(StrEnum):
    ERROR = "error"
    """Somebody should act: it will not work, or gives something away."""
    WARNING = "warning"
    """It may not work as it looks."""
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that is wrong in a workflow file itself, whatever models there are."""

    code: str
    """Kebab-case: duplicate-id, dangling-link, secret, …"""
    severity: Severity
    pointer: str
    """Where: a JSON pointer into the text that was read (the file's, or the embedded one's)."""
    message: str


@dataclass(frozen=True, slots=True)
class WorkflowContent:
    """What one file says, before anybody looked at the disk."""

    container: str
    """json, png, webp, …"""
    format: str
    """ui, api or none."""
    taken: str | None = None
    """``workflow``, ``prompt`` or ``parameters``: which of the embedded texts was read."""
    references: tuple[ModelReference, ...] = ()
    node_types: tuple[NodeTypeUse, ...] = ()
    trouble: Trouble | None = None
    """Why the file could not be read; then the rest is empty."""
    findings: tuple[Remark, ...] = ()
    """What is wrong in the file itself; the models are another matter."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One reference and what the disk says about it: a row of the report."""

    reference: ModelReference
    state: ReferenceState
    path: Path | None = None
    """The file that ComfyUI would open, or the one that lies elsewhere."""
    size: int | None = None
    sha256: str | None = None
    spelling: str | None = None
    """For ``elsewhere``: the folder and exact name it has now, ``folder/name``."""
    candidates: tuple[Candidate, ...] = ()
    trouble: Trouble | None = None
    """Why it is not being fetched, where something stands in the way."""

    @property
    def lacking(self) -> bool:
        """Whether the workflow cannot run because of this row."""
        return self.reference.active and self.state not in _SATISFIED


_SATISFIED = {ReferenceState.PRESENT, ReferenceState.AUTODOWNLOAD, ReferenceState.DYNAMIC}


@dataclass(frozen=True, slots=True)
class Analysis:
    """A workflow file, read and compared with the disk."""

    path: Path
    sha256: str
    """Of the file's bytes; empty where they could not be read."""
    content: WorkflowContent
    findings: tuple[Finding, ...] = ()

    @property
    def state(self) -> WorkflowState:
        if self.content.trouble is not None:
            return WorkflowState.UNREADABLE
        if self.content.format == "none":
            return WorkflowState.NOT_A_WORKFLOW
        if any(finding.lacking for finding in self.findings):
            return WorkflowState.BLOCKED
        return WorkflowState.READY

    @property
    def fetchable(self) -> tuple[Finding, ...]:
        """The rows that bringing a file could satisfy.

        A file of that name in another place is brought too where the workflow itself says where
        the right one is from: if the bytes are the same, they are linked and not fetched.
        """
        return tuple(
            finding
            for finding in self.findings
            if finding.reference.active
            and finding.reference.folder is not None
            and finding.trouble is None
            and (finding.state in _BRINGABLE or _told_where(finding))
        )


_BRINGABLE = {ReferenceState.MISSING, ReferenceState.AMBIGUOUS}


def _told_where(finding: Finding) -> bool:
    return finding.state is ReferenceState.ELSEWHERE and any(
        declared.url for declared in finding.reference.declared
    )
