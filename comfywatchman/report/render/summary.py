"""What a library of workflows has and lacks as a whole, and what most of it waits for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from comfywatchman.domain.references import ReferenceState, Severity, WorkflowState

if TYPE_CHECKING:
    from comfywatchman.report.render.rows import ReferenceRow, WorkflowRow

_MOST = 20
"""Models of `Summary.most_wanted`."""


class WantedRow(Struct, frozen=True, kw_only=True):
    """A model that is not here, and how many workflows wait for it."""

    folder: str | None
    name: str
    workflows: int
    size: int | None
    """Bytes to download, where that is known."""


class Summary(Struct, frozen=True, kw_only=True):
    workflows: int
    ready: int
    blocked: int
    unreadable: int
    references: int
    """Rows of all workflows."""
    present: int
    missing: int
    """Rows that are missing and active; ambiguous ones have a number of their own."""
    ambiguous: int
    elsewhere: int
    misspelled: int
    """Those of *elsewhere* whose file is in place: only a widget must be set."""
    arriving: int
    autodownload: int
    dynamic: int
    inactive: int
    """Rows of muted or bypassed nodes only that are not present."""
    not_workflows: int
    """Files that hold no workflow; they are neither ready nor blocked."""
    bytes_to_download: int
    """Known sizes of what is missing, each (folder, name) once."""
    errors: int
    """Findings of severity ``error`` in the files themselves."""
    most_wanted: tuple[WantedRow, ...]
    """What most workflows lack, the most wanted first; twenty at the most."""


_LACKED = {ReferenceState.MISSING.value, ReferenceState.AMBIGUOUS.value}


def summary_of(workflows: Sequence[WorkflowRow]) -> Summary:
    """Count what is in which state."""
    rows = [row for workflow in workflows for row in workflow.references]
    states = [workflow.state for workflow in workflows]
    active = [row.state for row in rows if row.active]
    return Summary(
        workflows=len(workflows),
        ready=states.count(WorkflowState.READY.value),
        blocked=states.count(WorkflowState.BLOCKED.value),
        unreadable=states.count(WorkflowState.UNREADABLE.value),
        references=len(rows),
        present=sum(row.state == ReferenceState.PRESENT.value for row in rows),
        missing=active.count(ReferenceState.MISSING.value),
        ambiguous=active.count(ReferenceState.AMBIGUOUS.value),
        elsewhere=active.count(ReferenceState.ELSEWHERE.value),
        misspelled=sum(row.active and row.misspelled for row in rows),
        arriving=active.count(ReferenceState.ARRIVING.value),
        autodownload=active.count(ReferenceState.AUTODOWNLOAD.value),
        dynamic=active.count(ReferenceState.DYNAMIC.value),
        inactive=sum(not row.active and row.state != ReferenceState.PRESENT.value for row in rows),
        not_workflows=states.count(WorkflowState.NOT_A_WORKFLOW.value),
        bytes_to_download=_bytes_to_download(rows),
        errors=sum(
            remark.severity == Severity.ERROR.value
            for workflow in workflows
            for remark in workflow.findings
        ),
        most_wanted=_most_wanted(workflows),
    )


def _bytes_to_download(rows: Sequence[ReferenceRow]) -> int:
    sizes: dict[tuple[str | None, str], int] = {}
    for row in rows:
        size = row.bytes_to_download
        if row.active and row.state == ReferenceState.MISSING.value and size is not None:
            sizes.setdefault((row.folder, row.name), size)
    return sum(sizes.values())


def _most_wanted(workflows: Sequence[WorkflowRow]) -> tuple[WantedRow, ...]:
    wanted: dict[tuple[str | None, str], dict[str, ReferenceRow]] = {}
    for workflow in workflows:
        for row in workflow.references:
            if row.active and row.state in _LACKED:
                wanted.setdefault((row.folder, row.name), {}).setdefault(workflow.path, row)
    rows = [
        WantedRow(
            folder=folder,
            name=name,
            workflows=len(by),
            size=next((r.bytes_to_download for r in by.values() if r.bytes_to_download), None),
        )
        for (folder, name), by in wanted.items()
    ]
    rows.sort(key=lambda row: (-row.workflows, row.folder or "", row.name))
    return tuple(rows[:_MOST])
