"""Jobs that are asked for: each once, in an order that is fair to every workflow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

from sqlalchemy import Connection, bindparam, func, or_, select, update
from sqlalchemy.dialects.sqlite import insert

from comfywatchman.domain.errors import SourceChanged
from comfywatchman.domain.jobs import AnalyzeWorkflow, Cause, FetchModel, Job, ResolveReference
from comfywatchman.state.coding import dumps, loads, natural_key, trouble_from
from comfywatchman.state.job_rows import OPEN, RUNNING, WAITING
from comfywatchman.state.prepared import Prepared, as_list, from_list
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
    known = _known(connection, asked)
    seen: set[tuple[str, str]] = set()
    fresh: list[dict[str, object]] = []
    for place, job in enumerate(asked):
        key = (job.kind, natural_key(job.key))
        if key in seen or ("resolve", key[1]) in seen:  # what came before decides
            _insert(connection, fresh)
            known |= _known(connection, [job])
        seen.add(key)
        found = known.get(key)
        order = {"priority": priority, "turn": _turn_of(connection, job, turn + place)}
        values: dict[str, object]
        if found is None:
            fresh.append(_fresh(job, now) | order)
        elif found.state == RUNNING:
            values = {"priority": max(priority, found.priority)}
            again = isinstance(job, AnalyzeWorkflow | ResolveReference)
            if again or _is_another(job, found.payload):
                merged = _merged(job, found.payload, found.again)
                values |= {"again": True, "payload": dumps(merged), **_lane_of(job)}
            _update(connection, found.id, values)
            continue
        elif found.state == WAITING:
            values = {"payload": dumps(_merged(job, found.payload, waiting=True))}
            values |= {"priority": max(priority, found.priority), "updated_at": now}
            values |= _lane_of(job)
            if _impatient(job) or priority > found.priority:
                values |= {"not_before": 0.0}
            _update(connection, found.id, values)
        elif _in_vain(job, found.payload, found.trouble) and not priority:
            continue
        else:
            values = _fresh(job, now) | order
            del values["created_at"]
            _update(connection, found.id, values)
        kinds.add(job.kind)
    _insert(connection, fresh)
    return kinds


_COLUMNS = ("id", "kind", "key", "state", "payload", "again", "priority", "trouble")


def _known(connection: Connection, asked: Sequence[Job]):  # type: ignore[no-untyped-def]  # SQLAlchemy's own generic rows
    """Return the rows of the jobs that are known already, by kind and key."""
    by_kind: dict[str, list[str]] = {}
    for job in asked:
        by_kind.setdefault(job.kind, []).append(natural_key(job.key))
    return {
        (row.kind, row.key): row
        for kind, keys in by_kind.items()
        for row in _KNOWN.rows(connection, of=kind, keys=as_list(keys))
    }


_KNOWN = Prepared(
    select(*(jobs.c[name] for name in _COLUMNS)).where(
        jobs.c.kind == bindparam("of"), jobs.c.key.in_(from_list("keys"))
    )
)


def _insert(connection: Connection, fresh: list[dict[str, object]]) -> None:
    """Store new jobs, those of a kind in the order in which they were asked for."""
    of_fetches = [row for row in fresh if "lane" in row]
    for rows in ([row for row in fresh if "lane" not in row], of_fetches):
        if rows:
            _inserting(tuple(rows[0])).run_many(connection, rows)
    fresh.clear()


def _turn(connection: Connection) -> int:
    """Return the turn that comes now: that of the first in line, who has waited longest.

    Whoever comes new begins here, with one job for each turn, beside those who came before.
    """
    return _FIRST_TURN.first(connection).turn or 0


_FIRST_TURN = Prepared(
    select(func.min(jobs.c.turn).label("turn")).where(
        or_(*(jobs.c.kind == kind for kind in _TAKES_TURNS)),
        or_(*(jobs.c.state == state for state in OPEN)),
    )
)


def _turn_of(connection: Connection, job: Job, turn: int) -> int:
    """Return the turn of a new job: a fetch has the one of the search that led to it."""
    if not isinstance(job, FetchModel):
        return turn if job.kind in _TAKES_TURNS else 0
    searched = _TURN.first(connection, key=natural_key(job.key))
    return turn if searched is None else int(searched.turn)


_TURN = Prepared(
    select(jobs.c.turn).where(jobs.c.kind == "resolve", jobs.c.key == bindparam("key"))
)


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


def _update(connection: Connection, job_id: int, values: dict[str, object]) -> None:
    anew = {f"new_{name}": value for name, value in values.items()}
    _updating(tuple(values)).run(connection, of=job_id, **anew)


@cache
def _updating(columns: tuple[str, ...]) -> Prepared:
    values: dict[str, object] = {name: bindparam(f"new_{name}") for name in columns}
    return Prepared(update(jobs).where(jobs.c.id == bindparam("of")).values(values))


@cache
def _inserting(columns: tuple[str, ...]) -> Prepared:
    return Prepared(insert(jobs), columns)


def priority_of(connection: Connection, kind: str, key: str) -> int:
    """Return how urgently a job is wanted that is open; 0 where there is none."""
    found = _KNOWN.first(connection, of=kind, keys=as_list([natural_key(key)]))
    return found.priority if found is not None and found.state in OPEN else 0
