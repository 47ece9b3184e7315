"""Jobs that are asked for: each once, in an order that is fair to every workflow."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.sqlite import insert

from comfywatchman.domain.errors import SourceChanged
from comfywatchman.domain.jobs import AnalyzeWorkflow, Cause, FetchModel, Job
from comfywatchman.state.coding import dumps, loads, natural_key, trouble_from
from comfywatchman.state.job_rows import OPEN, RUNNING, WAITING
from comfywatchman.state.schema import jobs

NOW = 10
"""The priority of what a person wants now; everything else has 0."""

_TAKES_TURNS = ("resolve", "fetch")


def enqueue(
    connection: Connection, asked: Iterable[Job], now: float, *, priority: int = 0
) -> set[str]:
    """Store *asked*, each once by its natural key, and return the kinds that got work.

    A job that waits already stays where it is in line, unless it is wanted more urgently now; one
    that runs is done once more; one that ended starts afresh. Those of one call are one workflow's
    as a rule: they take turns with those of other calls, so that a workflow with ten thousand
    models holds up nobody.
    """
    kinds: set[str] = set()
    asked = tuple(asked)
    turn = _turn(connection) if any(job.kind in _TAKES_TURNS for job in asked) else 0
    for place, job in enumerate(asked):
        found = connection.execute(_by_key(job)).one_or_none()
        order = {"priority": priority, "turn": _turn_of(connection, job, turn + place)}
        values: dict[str, object]
        if found is None:
            connection.execute(insert(jobs).values(_fresh(job, now) | order))
        elif found.state == RUNNING:
            values = {"priority": max(priority, found.priority)}
            if isinstance(job, AnalyzeWorkflow) or _is_another(job, found.payload):
                merged = _merged(job, found.payload, found.again)
                values |= {"again": True, "payload": dumps(merged), **_lane_of(job)}
            connection.execute(update(jobs).where(jobs.c.id == found.id).values(values))
            continue
        elif found.state == WAITING:
            values = {"payload": dumps(_merged(job, found.payload, waiting=True))}
            values |= {"priority": max(priority, found.priority), "updated_at": now}
            values |= _lane_of(job)
            if _impatient(job) or priority > found.priority:
                values |= {"not_before": 0.0}
            connection.execute(update(jobs).where(jobs.c.id == found.id).values(values))
        elif _in_vain(job, found.payload, found.trouble) and not priority:
            continue
        else:
            values = _fresh(job, now) | order
            del values["created_at"]
            connection.execute(update(jobs).where(jobs.c.id == found.id).values(values))
        kinds.add(job.kind)
    return kinds


def _by_key(job: Job):  # type: ignore[no-untyped-def]  # SQLAlchemy's own generic select
    columns = (jobs.c.id, jobs.c.state, jobs.c.payload, jobs.c.again, jobs.c.priority)
    return select(*columns, jobs.c.trouble).where(
        jobs.c.kind == job.kind, jobs.c.key == natural_key(job.key)
    )


def _turn(connection: Connection) -> int:
    """Return the turn that comes now: that of the first in line, who has waited longest.

    Whoever comes new begins here, with one job for each turn, beside those who came before.
    """
    first: int | None = connection.execute(
        select(func.min(jobs.c.turn)).where(jobs.c.kind.in_(_TAKES_TURNS), jobs.c.state.in_(OPEN))
    ).scalar()
    return first or 0


def _turn_of(connection: Connection, job: Job, turn: int) -> int:
    """Return the turn of a new job: a fetch has the one of the search that led to it."""
    if not isinstance(job, FetchModel):
        return turn if job.kind in _TAKES_TURNS else 0
    searched: int | None = connection.execute(
        select(jobs.c.turn).where(jobs.c.kind == "resolve", jobs.c.key == natural_key(job.key))
    ).scalar()
    return turn if searched is None else searched


def _is_another(job: Job, stored: bytes) -> bool:
    """Whether other bytes are wanted than those that are being fetched."""
    if not isinstance(job, FetchModel):
        return False
    before = loads(stored, FetchModel)
    return {s.sha256 for s in job.sources} != {s.sha256 for s in before.sources}


def _in_vain(job: Job, stored: bytes, trouble: bytes | None) -> bool:
    """Whether the same sources gave other bytes twice: they would again."""
    told = trouble_from(trouble)
    if not isinstance(job, FetchModel) or job.chosen:
        return False
    if told is None or told.code != SourceChanged.code:
        return False
    before = loads(stored, FetchModel)
    return {(s.url, s.sha256, s.size) for s in job.sources} <= {
        (s.url, s.sha256, s.size) for s in before.sources
    }


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
    return {
        "kind": job.kind,
        "key": natural_key(job.key),
        "payload": dumps(job),
        "state": WAITING,
        "again": False,
        "attempts": 0,
        "crashes": 0,
        "mismatches": 0,
        "not_before": 0.0,
        **_lane_of(job),
        "trouble": None,
        "created_at": now,
        "updated_at": now,
    }


def _lane_of(job: Job) -> dict[str, object]:
    """Return what decides which others it may run beside."""
    if not isinstance(job, FetchModel):
        return {}
    first = job.sources[0]
    lane = first.sha256 or natural_key(job.key)
    return {"lane": lane, "host": first.host, "folder": job.folder}


def priority_of(connection: Connection, kind: str, key: str) -> int:
    """Return how urgently a job is wanted that is open; 0 where there is none."""
    found: int | None = connection.execute(
        select(jobs.c.priority).where(
            jobs.c.kind == kind, jobs.c.key == natural_key(key), jobs.c.state.in_(OPEN)
        )
    ).scalar()
    return found or 0
