"""A job as it lies in the table."""

from __future__ import annotations

from dataclasses import dataclass

from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.files import Mark
from comfywatchman.domain.jobs import JOB_TYPES, Job
from comfywatchman.state.coding import loads, trouble_from

WAITING, RUNNING, DONE, FAILED = "waiting", "running", "done", "failed"
SET_ASIDE, CANCELED = "set-aside", "canceled"

OPEN = (WAITING, RUNNING)


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job as it lies in the table."""

    id: int
    kind: str
    key: str
    job: Job
    state: str
    attempts: int
    crashes: int
    not_before: float
    host: str | None
    trouble: Trouble | None
    created_at: float
    updated_at: float
    mark: Mark | None = None
    """What the bytes were fetched under that an earlier try left."""
    priority: int = 0
    mismatches: int = 0
    """How often other bytes came than were promised."""


def job_row(row) -> JobRow:  # type: ignore[no-untyped-def]  # SQLAlchemy's Row has no static columns
    return JobRow(
        row.id,
        row.kind,
        row.key,
        loads(row.payload, JOB_TYPES[row.kind]),
        row.state,
        row.attempts,
        row.crashes,
        row.not_before,
        row.host,
        trouble_from(row.trouble),
        row.created_at,
        row.updated_at,
        None if row.mark is None else loads(row.mark, Mark),
        row.priority,
        row.mismatches,
    )
