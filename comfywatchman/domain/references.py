"""What a workflow asks for, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from comfywatchman.domain.candidates import Candidate
from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.files import ShortHash as ShortHash  # noqa: PLC0414 - told on from here


class Lookup(StrEnum):
    """How the loader finds the file that the widget names."""

    FILE = "file"
    """A path relative to a root of the folder, compared exactly."""
    STEM = "stem"
    """A name that may lack its suffix or its subfolder (``embedding:``, ``<lora:…>``)."""
    BASENAME = "basename"
    """The same, and the subfolder may be another one than is written."""
    DIRECTORY = "directory"
    """A directory below a root of the folder (diffusers)."""
    AUTODOWNLOAD = "autodownload"
    """The node fetches it by itself."""
    DYNAMIC = "dynamic"
    """Another node computes the name when the workflow runs, or decides whether it counts."""


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
    stated: str | None = None
    """What it gives as a hash where that is no SHA-256."""


@dataclass(frozen=True, slots=True)
class Writing:
    """How one node spells a name."""

    node: str
    raw: str


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
    also_written: tuple[Writing, ...] = ()
    """The nodes among them that write other slashes than *raw* has."""
    short_hashes: tuple[ShortHash, ...] = ()
    """What the text of another program says about the file's bytes."""
    lists: tuple[str, ...] = ()
    """The suffixes that the node lists, or tries behind a name that has none; lowercase with the
    dot. Empty where nobody knows: then every model file counts."""
    marker: str | None = None
    """The file that a directory must hold for the node to list it."""
    alone: bool = False
    """Whether the node opens this one file and no other part of a model beside it."""
    linked: tuple[str, ...] = ()
    """Links in notes to models and repositories that name no file, where nothing says where this
    one is from: the file may be there."""

    @property
    def told_hashes(self) -> tuple[ShortHash, ...]:
        """What the file says about the bytes besides a SHA-256: good hints, and what is no hash."""
        stated = (each.stated for each in self.declared if each.stated is not None)
        hashes = (ShortHash(_KIND_BY_DIGITS.get(len(text), "SHA256"), text) for text in stated)
        return (*self.short_hashes, *hashes)


_KIND_BY_DIGITS = {8: "AutoV1", 10: "AutoV2", 12: "AutoV3"}


@dataclass(frozen=True, slots=True)
class NodeTypeUse:
    """A node type of the workflow, and what the file says about its pack."""

    type: str
    count: int
    cnr_id: str | None = None
    aux_id: str | None = None
    core: bool = False
    """Whether the table of ComfyUI's own node types, or the file, says that it is built in."""
    nodes: tuple[str, ...] = ()
    """Id paths of the first nodes of this type, `MOST_NODES` at the most; none for core types."""
    active: bool = True
    """False where every node of this type is muted or bypassed."""


MOST_NODES = 10
"""How many nodes of one type are told; *count* has their number."""


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
    node: str | None = None
    """The id of the node that it is about, as the file has it; ``None`` where it is about none."""
    node_type: str | None = None


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


class Hint(StrEnum):
    """Codes of `Finding.hint`: what there is to say about where a file is, besides the state."""

    WRONG_FOLDER = "wrong-folder"
    """The right name, in a folder where this loader does not look."""
    OTHER_SUBFOLDER = "other-subfolder"
    OTHER_CASE = "other-case"
    OTHER_UNICODE = "other-unicode"
    """The same letters, composed otherwise (NFC, NFD): other bytes to the file system."""
    OTHER_SLASH = "other-slash"
    """The file is where ComfyUI looks, but the widget has the slashes of another system."""
    DAMAGED = "damaged"
    """A file of that name is where ComfyUI looks, and is no model: a web page, an empty file."""
    INCOMPLETE = "incomplete"
    """It is shorter than it says of itself: being written, or cut short."""
    OTHER_PARTS = "other-parts"
    """The file is one of several parts of a model, and the others are not here; the node opens
    only this one."""
    PART_OF_NAME = "part-of-name"
    """The node opens a file that only has the name in its own."""
    OTHER_SUFFIX = "other-suffix"
    """A file of that name is here whose suffix is another one."""
    SAME_BYTES = "same-bytes"
    """The promised bytes are here under another name."""
    OTHER_BYTES = "other-bytes"
    """A file of that name is here, and its measured bytes are not the promised ones."""
    SEVERAL = "several"
    """Several different files could be meant."""
    SHADOWED = "shadowed"
    """A different file of the same name lies in a later directory of the folder."""
    FOUND_IN = "found-in"
    """Nobody says which folder the node reads; a file of that name is in this one."""
    UNVERIFIABLE = "unverifiable"
    """We fetched the file, and nobody publishes a hash that would prove it."""
    TAKEN_AWAY = "taken-away"
    """It was here, and somebody removed it: what a person removes is not fetched by itself."""


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
    """The string that a widget would need to name the file: relative to a root of `found_in`, with
    the separator of this system. ``None`` where the workflow has it, or nothing is here."""
    candidates: tuple[Candidate, ...] = ()
    trouble: Trouble | None = None
    """Why it is not being fetched, where something stands in the way."""
    found_in: str | None = None
    """The folder that the file lies in."""
    hint: Trouble | None = None
    """What a person should know about it; its code is a `Hint`."""
    shadows: tuple[Path, ...] = ()
    """Files of the same folder and name that ComfyUI does not open: *path* comes before them."""
    found_by: tuple[str, ...] = ()
    """The nodes that find the file as it is, where others that ask for it do not."""

    @property
    def misspelled(self) -> bool:
        """Whether the file is where ComfyUI looks, and only the widget's slashes are wrong."""
        return self.state is ReferenceState.ELSEWHERE and self._hinted(Hint.OTHER_SLASH)

    @property
    def damaged(self) -> bool:
        """Whether a file that is no model has the name, so that no other can be brought there."""
        return self._hinted(Hint.DAMAGED)

    @property
    def same_bytes(self) -> bool:
        """Whether it was found by what its bytes should be, under another name."""
        return self._hinted(Hint.SAME_BYTES)

    @property
    def in_place(self) -> bool:
        """Whether the file lies where ComfyUI looks for the name, or is being written there."""
        if self.state is ReferenceState.ARRIVING:
            return self.hint is None or self.hint.code not in _NOT_WHERE_IT_IS_SOUGHT
        return self.state is ReferenceState.PRESENT or self.misspelled

    @property
    def lacking(self) -> bool:
        """Whether something must be brought, or moved, before the workflow can run."""
        return self.reference.active and self.state not in _SATISFIED and not self.misspelled

    def _hinted(self, code: Hint) -> bool:
        return self.hint is not None and self.hint.code == code


_NOT_WHERE_IT_IS_SOUGHT = {
    Hint.WRONG_FOLDER,
    Hint.OTHER_SUBFOLDER,
    Hint.OTHER_CASE,
    Hint.OTHER_UNICODE,
    Hint.SAME_BYTES,
}
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

        Where a file of that name is somewhere else, one is brought only where the workflow itself
        says where the right one is from: if the bytes are the same, they are linked.
        """
        return tuple(
            finding
            for finding in self.findings
            if finding.reference.active
            and finding.reference.folder is not None
            and finding.trouble is None
            and not finding.damaged
            and (finding.state is ReferenceState.MISSING or _told_where(finding))
        )


_NEARBY = {ReferenceState.ELSEWHERE, ReferenceState.AMBIGUOUS, ReferenceState.ARRIVING}


def _told_where(finding: Finding) -> bool:
    if finding.state not in _NEARBY or finding.in_place:
        return False
    return any(declared.url for declared in finding.reference.declared)
