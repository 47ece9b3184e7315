"""Asking for jobs and taking them, as the desk does."""

from __future__ import annotations

from pathlib import Path

from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.files import Mark
from comfywatchman.domain.jobs import Job
from comfywatchman.state import jobs
from comfywatchman.state.jobs import JobRow
from comfywatchman.state.keeper import Keeper
from tests.state.rows import TROUBLE

NOW = 1_000_000.0
WORKFLOW = Path("/wf/a.json")
MARK = Mark("https://hub.example/x", 5, '"etag"')


def put(keeper: Keeper, *asked: Job, now: float = NOW) -> set[str]:
    return keeper.write(lambda c: jobs.enqueue(c, asked, now))


def take(keeper: Keeper, kind: str, now: float = NOW, per_host: int | None = None) -> JobRow | None:
    return keeper.write(lambda c: jobs.claim(c, kind, now, jobs.Rules(per_host)))


def taken(keeper: Keeper, kind: str, now: float = NOW, per_host: int | None = None) -> JobRow:
    row = take(keeper, kind, now, per_host)
    assert row is not None
    return row


def row_of(keeper: Keeper, job: Job) -> JobRow:
    row = keeper.write(lambda c: jobs.by_key(c, job.kind, job.key))
    assert row is not None
    return row


def crash(keeper: Keeper, row: JobRow, now: float) -> bool:
    return keeper.write(lambda c: jobs.crashed(c, row.id, TROUBLE, now))


def finished(keeper: Keeper, row: JobRow) -> None:
    keeper.write(lambda c: jobs.finish(c, row.id, NOW))


def end(keeper: Keeper, row: JobRow, trouble: Trouble) -> None:
    keeper.write(lambda c: jobs.fail(c, row.id, trouble, NOW))
