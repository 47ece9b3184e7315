"""The rows of the report: what section 2 of the contract promises, key by key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from comfywatchman.domain.candidates import Candidate
from comfywatchman.domain.errors import (
    ModelIncomplete,
    NameNotListed,
    NotAWorkflow,
    Trouble,
    UnsafeName,
)
from comfywatchman.domain.packs import NodeTypes, NothingKnown
from comfywatchman.domain.references import (
    Analysis,
    Declared,
    Finding,
    Hint,
    ReferenceState,
    Remark,
    WorkflowState,
)
from comfywatchman.report.redaction import redacted
from comfywatchman.report.render.node_types import NodeTypeRow, node_type_row
from comfywatchman.report.render.summary import Summary, summary_of
from comfywatchman.report.visible import encodable

SCHEMA_VERSION = 1

_NOTHING_KNOWN = NothingKnown()


class DeclaredRow(Struct, frozen=True, kw_only=True):
    """What the workflow itself says about the model's source."""

    url: str | None
    sha256: str | None
    origin: str


class CandidateRow(Struct, frozen=True, kw_only=True):
    """An offer, and why it is believed."""

    backend: str
    url: str
    filename: str
    size: int | None
    sha256: str | None
    grade: Literal["A", "B", "C", "D", "E"]
    evidence: tuple[str, ...]
    needs: str | None
    page: str | None
    size_about: int | None = None
    """Bytes, where the source rounds."""
    error: Trouble | None = None
    """Why it cannot be had from there now, or should not be."""
    replacement: bool = False
    """Not the wanted file, only one that may serve instead."""


class ReferenceRow(Struct, frozen=True, kw_only=True):
    """One file that a workflow asks for: a row per (folder, name, active)."""

    folder: str | None
    name: str
    raw: str
    node: str
    node_type: str
    widget: str
    active: bool
    state: Literal[
        "present", "elsewhere", "arriving", "missing", "ambiguous", "autodownload", "dynamic"
    ]
    path: str | None
    size: int | None
    sha256: str | None
    declared: DeclaredRow | None
    nodes: tuple[str, ...]
    """Every node that asks for it."""
    found_by: tuple[str, ...]
    """Those that find the file that is here, where the others do not."""
    spelling: str | None
    """The string that a widget would need to name the file that is here, where it has another."""
    found_in: str | None
    """The folder that the file lies in."""
    hint: Trouble | None
    """What a person should know about the file that is here; the code is a `Hint`."""
    shadows: tuple[str, ...]
    """Files of the same folder and name that ComfyUI does not open."""
    error: Trouble | None
    """Why it is not being fetched."""
    candidates: tuple[CandidateRow, ...] | UnsetType = UNSET
    """Only where backends were asked."""

    @property
    def lacking(self) -> bool:
        """Whether something must be brought, or moved, before the workflow can run."""
        return self.active and self.state in _LACKING and not self.misspelled

    @property
    def misspelled(self) -> bool:
        """Whether the file is where ComfyUI looks, and only the widget's slashes are wrong."""
        slashes = self.hint is not None and self.hint.code == Hint.OTHER_SLASH
        return self.state == ReferenceState.ELSEWHERE.value and slashes

    @property
    def here(self) -> bool:
        """Whether the file is where ComfyUI looks."""
        return self.state == ReferenceState.PRESENT.value or self.misspelled

    @property
    def to_bring(self) -> bool:
        """Whether bringing a file could satisfy it, as `Analysis.fetchable` has it."""
        told_where = self.declared is not None and self.declared.url is not None
        wanted = self.state == ReferenceState.MISSING.value or told_where
        return self.lacking and self.folder is not None and wanted and not self._is_in_vain

    @property
    def _is_in_vain(self) -> bool:
        damaged = self.hint is not None and self.hint.code == Hint.DAMAGED
        return damaged or (self.error is not None and self.error.code in _NOTHING_TO_BRING)

    @property
    def offers(self) -> tuple[CandidateRow, ...]:
        return () if self.candidates is UNSET else self.candidates

    @property
    def bytes_to_download(self) -> int | None:
        """The size that the best source tells, where one does."""
        # Of a missing one with a path the size is that of a file which is not the wanted one.
        here = self.state == ReferenceState.MISSING.value and self.path is not None
        known = [None if here else self.size, *(offer.size for offer in self.offers)]
        return next((size for size in known if size is not None), None)


class RemarkRow(Struct, frozen=True, kw_only=True):
    """Something wrong in the file itself."""

    code: str
    severity: Literal["error", "warning", "info"]
    pointer: str
    """Where in the file: a JSON pointer (RFC 6901)."""
    message: str
    node: str | None = None
    """The id of the node that it is about, and its type; those in a subgraph count there."""
    node_type: str | None = None


class WorkflowRow(Struct, frozen=True, kw_only=True):
    path: str
    sha256: str
    container: str
    format: str
    taken: str | None
    """Which of the texts embedded in an image was read."""
    state: Literal["ready", "blocked", "unreadable", "not-a-workflow"]
    error: Trouble | None
    references: tuple[ReferenceRow, ...]
    node_types: tuple[NodeTypeRow, ...]
    findings: tuple[RemarkRow, ...] = ()


class Report(Struct, frozen=True, kw_only=True):
    schema_version: int
    workflows: tuple[WorkflowRow, ...]
    summary: Summary


def report_of(
    analyses: Sequence[Analysis], with_candidates: bool, types: NodeTypes = _NOTHING_KNOWN
) -> Report:
    """Return the report of *analyses*, with what is known about *types* of nodes now.

    Without them a node type that does not come with ComfyUI is ``unknown``.
    """
    return report_of_rows(
        tuple(workflow_row(analysis, with_candidates, types) for analysis in analyses)
    )


def report_of_rows(rows: tuple[WorkflowRow, ...]) -> Report:
    """Return the report of workflows that are rows already."""
    return Report(schema_version=SCHEMA_VERSION, workflows=rows, summary=summary_of(rows))


def to_json(report: Report) -> bytes:
    """Return the report as JSON, with ``null`` where nothing is known."""
    return encoded(report)


def encoded(value: object) -> bytes:
    """Return *value* as JSON, also where a file name in it is no UTF-8."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_all_encodable(msgspec.to_builtins(value)))


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the report."""
    return msgspec.json.schema(Report)


def candidate_row(candidate: Candidate) -> CandidateRow:
    return CandidateRow(
        backend=candidate.backend,
        url=redacted(encodable(candidate.url)),
        filename=encodable(candidate.filename),
        size=candidate.size,
        sha256=candidate.sha256,
        grade=candidate.grade.value,
        evidence=tuple(redacted(encodable(sentence)) for sentence in candidate.evidence),
        needs=candidate.needs,
        page=None if candidate.page is None else redacted(encodable(candidate.page)),
        size_about=candidate.size_about,
        error=_trouble(candidate.trouble),
        replacement=candidate.replacement,
    )


_NOTHING_TO_BRING = frozenset({NameNotListed.code, ModelIncomplete.code, UnsafeName.code})
"""Errors of a reference that no file under the name would mend."""

_LACKING = frozenset({"missing", "ambiguous", "elsewhere", "arriving"})


def workflow_row(
    analysis: Analysis, with_candidates: bool, types: NodeTypes = _NOTHING_KNOWN
) -> WorkflowRow:
    content = analysis.content
    return WorkflowRow(
        path=encodable(str(analysis.path)),
        sha256=analysis.sha256,
        container=content.container,
        format=content.format,
        taken=content.taken,
        state=analysis.state.value,
        error=_trouble(content.trouble or _something_else(analysis)),
        references=tuple(_reference(finding, with_candidates) for finding in analysis.findings),
        node_types=tuple(node_type_row(use, types) for use in content.node_types),
        findings=tuple(_remark(remark) for remark in content.findings),
    )


def _something_else(analysis: Analysis) -> Trouble | None:
    if analysis.state is not WorkflowState.NOT_A_WORKFLOW:
        return None
    return NotAWorkflow(
        "The file holds neither a workflow nor a prompt of ComfyUI.",
        remedy="Nothing to do, unless it should: then export the workflow again.",
    ).trouble()


def _remark(remark: Remark) -> RemarkRow:
    return RemarkRow(
        code=remark.code,
        severity=remark.severity.value,
        pointer=encodable(remark.pointer),
        message=encodable(remark.message),
        node=None if remark.node is None else encodable(remark.node),
        node_type=None if remark.node_type is None else encodable(remark.node_type),
    )


def _reference(finding: Finding, with_candidates: bool) -> ReferenceRow:
    wanted = finding.reference
    return ReferenceRow(
        folder=None if wanted.folder is None else encodable(wanted.folder),
        name=encodable(wanted.name),
        raw=encodable(wanted.raw),
        node=encodable(wanted.node),
        node_type=encodable(wanted.node_type),
        widget=encodable(wanted.widget),
        active=wanted.active,
        state=finding.state.value,
        path=None if finding.path is None else encodable(str(finding.path)),
        size=finding.size,
        sha256=finding.sha256,
        declared=_declared(wanted.declared[0]) if wanted.declared else None,
        nodes=tuple(encodable(node) for node in wanted.nodes or (wanted.node,)),
        found_by=tuple(encodable(node) for node in finding.found_by),
        spelling=None if finding.spelling is None else encodable(finding.spelling),
        found_in=None if finding.found_in is None else encodable(finding.found_in),
        hint=_trouble(finding.hint),
        shadows=tuple(encodable(str(path)) for path in finding.shadows),
        error=_trouble(finding.trouble),
        candidates=(
            tuple(candidate_row(offer) for offer in finding.candidates)
            if with_candidates
            else UNSET
        ),
    )


def _declared(declared: Declared) -> DeclaredRow:
    return DeclaredRow(
        # People paste links with their token in them into workflows.
        url=None if declared.url is None else redacted(encodable(declared.url)),
        sha256=declared.sha256,
        origin=declared.origin,
    )


def _trouble(trouble: Trouble | None) -> Trouble | None:
    if trouble is None:
        return None
    return Trouble(
        trouble.code, redacted(encodable(trouble.cause)), redacted(encodable(trouble.remedy))
    )


def _all_encodable(value: Any) -> Any:
    """Walk JSON's own types; ``Any`` because that is what JSON is."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, dict):
        return {_all_encodable(key): _all_encodable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_all_encodable(item) for item in value]
    return value
