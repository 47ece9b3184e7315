"""The job table: the queue itself. Inboxes only wake; these rows are the truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, or_, select, update
from sqlalchemy.dialects.sqlite import insert

from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.messages import (
    JOB_TYPES,
    AnalyzeWorkflow,
    Cause,
    FetchModel,
    Job,
)
from comfywatchman.state.coding import dumps, loads, natural_key, trouble_from
from comfywatchman.state.schema import jobs

WAITING, RUNNING, DONE, FAILED = "waiting", "running", "done", "failed"
SET_ASIDE, CANCELED = "set-aside", "canceled"

CRASHES_ALLOWED = 3
"""A job that met a bug of ours this often is set aside."""

_OPEN = (WAITING, RUNNING)


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
    validator: str | None
    trouble: Trouble | None
    created_at: float
    updated_at: float


def enqueue(connection: Connection, asked: Iterable[Job], now: float) -> set[str]:
    """Store *asked*, each once by its natural key, and return the kinds that got work.

    A job that waits already stays where it is in line; one that runs is done once more; one that
    ended starts afresh.
    """
    kinds: set[str] = set()
    for job in asked:
        found = connection.execute(_by_key(job)).one_or_none()
        if found is None:
            connection.execute(insert(jobs).values(_fresh(job, now)))
        elif found.state == RUNNING:
            if isinstance(job, AnalyzeWorkflow):
                values = {"again": True, "payload": dumps(_merged(job, found.payload, found.again))}
                connection.execute(update(jobs).where(jobs.c.id == found.id).values(values))
            continue
        elif found.state == WAITING:
            values = {"payload": dumps(_merged(job, found.payload, waiting=True))}
            if _impatient(job):
                values |= {"not_before": 0.0}
            values |= {"updated_at": now}
            connection.execute(update(jobs).where(jobs.c.id == found.id).values(values))
        else:
            values = _fresh(job, now)
            del values["created_at"]
            connection.execute(update(jobs).where(jobs.c.id == found.id).values(values))
        kinds.add(job.kind)
    return kinds


def _by_key(job: Job):  # type: ignore[no-untyped-def]  # SQLAlchemy's own generic select
    return select(jobs.c.id, jobs.c.state, jobs.c.payload, jobs.c.again).where(
        jobs.c.kind == job.kind, jobs.c.key == natural_key(job.key)
    )


def _impatient(job: Job) -> bool:
    """Whether asking again cuts a waiting time short: a person did something."""
    return isinstance(job, AnalyzeWorkflow) and job.cause is Cause.CHANGED


def _merged(job: Job, stored: bytes, waiting: bool) -> Job:
    """Let the stronger cause of two analyses of one workflow win."""
    if isinstance(job, AnalyzeWorkflow) and waiting:
        before = loads(stored, AnalyzeWorkflow)
        strongest = min(job.cause, before.cause, key=list(Cause).index)
        return AnalyzeWorkflow(job.path, strongest)
    return job


def _fresh(job: Job, now: float) -> dict[str, object]:
    lane = host = None
    if isinstance(job, FetchModel):
        first = job.sources[0]
        lane = first.sha256 or job.key
        host = first.host
    return {
        "kind": job.kind,
        "key": natural_key(job.key),
        "payload": dumps(job),
        "state": WAITING,
        "again": False,
        "priority": 0,
        "attempts": 0,
        "crashes": 0,
        "not_before": 0.0,
        "lane": lane,
        "host": host,
        "trouble": None,
        "created_at": now,
        "updated_at": now,
    }


def claim(
    connection: Connection,
    kind: str,
    now: float,
    *,
    per_host: int | None = None,
    since: float = 0.0,
) -> JobRow | None:
    """Take the next job of *kind* that may run now, and mark it as running."""
    found = claimable(connection, kind, now, per_host=per_host, since=since)
    if found is None:
        return None
    row = connection.execute(
        update(jobs).where(jobs.c.id == found).values(state=RUNNING, updated_at=now).returning(jobs)
    ).one()
    return _row(row)


def claimable(
    connection: Connection,
    kind: str,
    now: float,
    *,
    per_host: int | None = None,
    since: float = 0.0,
) -> int | None:
    """Return the job of *kind* that is next in line and may run now, by its number.

    No two jobs of one lane run at a time, no more than *per_host* of one host, and none that
    was last asked for before *since*.
    """
    busy = connection.execute(
        select(jobs.c.lane, jobs.c.host).where(jobs.c.kind == kind, jobs.c.state == RUNNING)
    ).all()
    lanes = {row.lane for row in busy if row.lane is not None}
    by_host = Counter(row.host for row in busy if row.host is not None)
    full = {host for host, count in by_host.items() if per_host and count >= per_host}
    question = select(jobs.c.id).where(
        jobs.c.kind == kind,
        jobs.c.state == WAITING,
        jobs.c.not_before <= now,
        jobs.c.updated_at >= since,
    )
    if lanes:
        question = question.where(or_(jobs.c.lane.is_(None), jobs.c.lane.not_in(lanes)))
    if full:
        question = question.where(or_(jobs.c.host.is_(None), jobs.c.host.not_in(full)))
    found: int | None = connection.execute(
        question.order_by(jobs.c.priority.desc(), jobs.c.id).limit(1)
    ).scalar()
    return found


def next_time(connection: Connection, kind: str, *, since: float = 0.0) -> float | None:
    """Say when the next waiting job of *kind* may run, seconds since the epoch."""
    found: float | None = connection.execute(
        select(func.min(jobs.c.not_before)).where(
            jobs.c.kind == kind, jobs.c.state == WAITING, jobs.c.updated_at >= since
        )
    ).scalar()
    return found


def finish(connection: Connection, job_id: int, now: float) -> str | None:
    """Close a job; return its kind if it was asked for anew meanwhile and waits again."""
    row = connection.execute(select(jobs.c.kind, jobs.c.again).where(jobs.c.id == job_id)).one()
    state = WAITING if row.again else DONE
    connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id)
        .values(
            state=state,
            again=False,
            attempts=0,
            not_before=0.0,
            trouble=None,
            validator=None,
            updated_at=now,
        )
    )
    return row.kind if row.again else None


def fail(connection: Connection, job_id: int, trouble: Trouble, now: float) -> None:
    """Close a job that nobody can finish as it is."""
    again = connection.execute(select(jobs.c.again).where(jobs.c.id == job_id)).scalar()
    connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id)
        .values(
            state=WAITING if again else FAILED,
            again=False,
            trouble=dumps(trouble),
            updated_at=now,
        )
    )


def retry_later(
    connection: Connection,
    job_id: int,
    trouble: Trouble,
    now: float,
    delay: float,
    *,
    attempts: int | None = None,
) -> None:
    """Let a job wait *delay* seconds for its next try; *attempts* replaces the count of tries."""
    connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id)
        .values(
            state=WAITING,
            attempts=jobs.c.attempts + 1 if attempts is None else attempts,
            not_before=now + delay,
            trouble=dumps(trouble),
            updated_at=now,
        )
    )


def crashed(connection: Connection, job_id: int, trouble: Trouble, now: float) -> bool:
    """Note a bug met by a job; return whether the job is set aside for it."""
    crashes: int = connection.execute(
        select(jobs.c.crashes).where(jobs.c.id == job_id)
    ).scalar_one()
    aside = crashes + 1 >= CRASHES_ALLOWED
    connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id)
        .values(
            state=SET_ASIDE if aside else WAITING,
            crashes=crashes + 1,
            not_before=now + 5.0 * (crashes + 1),
            trouble=dumps(trouble),
            updated_at=now,
        )
    )
    return aside


def settled(connection: Connection, key: str, now: float) -> None:
    """Close what failed earlier for a model that is here now."""
    connection.execute(
        update(jobs)
        .where(
            jobs.c.key == natural_key(key),
            jobs.c.kind.in_(("resolve", "fetch")),
            jobs.c.state.in_((FAILED, SET_ASIDE, CANCELED)),
        )
        .values(state=DONE, trouble=None, updated_at=now)
    )


def release(connection: Connection, job_id: int, now: float) -> None:
    """Give a job back that was interrupted by our own stopping; nothing is counted."""
    connection.execute(
        update(jobs).where(jobs.c.id == job_id).values(state=WAITING, updated_at=now)
    )


def recover(connection: Connection, now: float) -> int:
    """After a start: what a former process left running waits again. Returns how many.

    A process that was killed is no fault of the job it worked on, so nothing is counted; what
    crashes by itself does so in a child process or as an exception that was counted then.
    """
    found = connection.execute(
        update(jobs).where(jobs.c.state == RUNNING).values(state=WAITING, updated_at=now)
    )
    return found.rowcount


def revive(connection: Connection, now: float, *, after: float, codes: Collection[str]) -> set[str]:
    """Let jobs that failed with one of *codes* longer than *after* seconds ago try again."""
    rows = connection.execute(
        select(jobs.c.id, jobs.c.kind, jobs.c.trouble).where(
            jobs.c.state == FAILED, jobs.c.updated_at < now - after
        )
    ).all()
    kinds = set()
    for row in rows:
        trouble = trouble_from(row.trouble)
        if trouble is not None and trouble.code in codes:
            connection.execute(
                update(jobs)
                .where(jobs.c.id == row.id)
                .values(state=WAITING, attempts=0, not_before=0.0, updated_at=now)
            )
            kinds.add(row.kind)
    return kinds


def note_validator(connection: Connection, job_id: int, validator: str | None, host: str) -> None:
    """Remember the ETag under which a part is being fetched, and where from."""
    connection.execute(
        update(jobs).where(jobs.c.id == job_id).values(validator=validator, host=host)
    )


def change_state(
    connection: Connection, job_id: int, *, of: Sequence[str], to: str, now: float
) -> JobRow | None:
    """Move a job to state *to* if it is in one of *of*; return it as it was, or ``None``."""
    row = connection.execute(
        select(jobs).where(jobs.c.id == job_id, jobs.c.state.in_(of))
    ).one_or_none()
    if row is None:
        return None
    values = {"state": to, "updated_at": now}
    if to == WAITING:
        values |= {"not_before": 0.0, "attempts": 0, "crashes": 0}
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(values))
    return _row(row)


def open_jobs(connection: Connection) -> int:
    count: int = connection.execute(
        select(func.count()).select_from(jobs).where(jobs.c.state.in_(_OPEN))
    ).scalar_one()
    return count


def listed(
    connection: Connection,
    *,
    states: Sequence[str] | None = None,
    kind: str | None = None,
    limit: int = 500,
) -> list[JobRow]:
    question = select(jobs).order_by(jobs.c.updated_at.desc()).limit(limit)
    if states is not None:
        question = question.where(jobs.c.state.in_(states))
    if kind is not None:
        question = question.where(jobs.c.kind == kind)
    return [_row(row) for row in connection.execute(question)]


def one(connection: Connection, job_id: int) -> JobRow | None:
    row = connection.execute(select(jobs).where(jobs.c.id == job_id)).one_or_none()
    return None if row is None else _row(row)


def by_key(connection: Connection, kind: str, key: str) -> JobRow | None:
    row = connection.execute(
        select(jobs).where(jobs.c.kind == kind, jobs.c.key == natural_key(key))
    ).one_or_none()
    return None if row is None else _row(row)


def counts(connection: Connection) -> dict[tuple[str, str], int]:
    """Return how many jobs there are by (kind, state)."""
    rows = connection.execute(
        select(jobs.c.kind, jobs.c.state, func.count()).group_by(jobs.c.kind, jobs.c.state)
    )
    return {(kind, state): count for kind, state, count in rows}


def _row(row) -> JobRow:  # type: ignore[no-untyped-def]  # SQLAlchemy's Row has no static columns
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
        row.validator,
        trouble_from(row.trouble),
        row.created_at,
        row.updated_at,
    )
