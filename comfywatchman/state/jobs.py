"""The job table: the queue itself. Inboxes only wake; these rows are the truth."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, Connection, and_, bindparam, case, func, or_, select, update

from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.files import Mark
from comfywatchman.domain.jobs import FetchModel
from comfywatchman.state.asked import NOW, enqueue, priority_of
from comfywatchman.state.coding import dumps, natural_key, trouble_from
from comfywatchman.state.job_rows import (
    CANCELED,
    DONE,
    FAILED,
    OPEN,
    RUNNING,
    SET_ASIDE,
    WAITING,
    JobRow,
    job_row,
)
from comfywatchman.state.line import (
    ANY,
    Crowded,
    Rules,
    claim,
    claimable,
    in_the_way,
    next_time,
)
from comfywatchman.state.prepared import Prepared, as_list, from_list
from comfywatchman.state.schema import jobs

__all__ = [
    "ANY",
    "CANCELED",
    "CRASHES_ALLOWED",
    "DONE",
    "FAILED",
    "NOW",
    "OPEN",
    "RUNNING",
    "SET_ASIDE",
    "WAITING",
    "Crowded",
    "JobRow",
    "Rules",
    "any_on_the_way",
    "by_key",
    "change_state",
    "claim",
    "claimable",
    "counts",
    "crashed",
    "enqueue",
    "fail",
    "finish",
    "in_the_way",
    "listed",
    "next_time",
    "note_mark",
    "one",
    "open_jobs",
    "open_keys",
    "priority_of",
    "put_off",
    "recover",
    "release",
    "retry_later",
    "revive",
    "settled",
    "unwanted",
    "withdrawn",
]

CRASHES_ALLOWED = 3
"""A job that met a bug of ours this often is set aside."""


def finish(connection: Connection, job_id: int, now: float) -> str | None:
    """Close a job; return its kind if it was asked for anew meanwhile and waits again."""
    (row,) = _FINISH.rows(connection, of=job_id, now=now)
    return row.kind if row.state == WAITING else None


_FINISH = Prepared(
    update(jobs)
    .where(jobs.c.id == bindparam("of"))
    .values(
        state=case((jobs.c.again, WAITING), else_=DONE),
        again=False,
        attempts=0,
        mismatches=0,
        not_before=0.0,
        trouble=None,
        mark=None,
        updated_at=bindparam("now"),
    )
    .returning(jobs.c.kind, jobs.c.state)
)


def fail(connection: Connection, job_id: int, trouble: Trouble, now: float) -> None:
    """Close a job that nobody can finish as it is."""
    again = connection.execute(select(jobs.c.again).where(jobs.c.id == job_id)).scalar()
    connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.state != CANCELED)
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
    mismatched: bool = False,
) -> None:
    """Let a job wait *delay* seconds for its next try; *attempts* replaces the count of tries.

    *mismatched* counts that other bytes came than were promised.
    """
    connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.state != CANCELED)
        .values(
            state=WAITING,
            attempts=jobs.c.attempts + 1 if attempts is None else attempts,
            mismatches=jobs.c.mismatches + mismatched,
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
    _close(connection, [key], _SETTLED, now)


def over(connection: Connection, keys: Collection[str], now: float) -> None:
    """Close what failed earlier, and searches that wait: nobody needs their answers."""
    _close(connection, keys, _OVER, now)


def unwanted(connection: Connection, keys: Collection[str], now: float) -> None:
    """Close transfers that wait and that nobody asks for any more, but for what a person wants."""
    _close(connection, keys, _UNWANTED, now)


def withdrawn(connection: Connection, key: str, now: float) -> None:
    """Take a transfer back: it has become a question which file is meant.

    One that runs sees it (`doubts.about`) and stops. What a person named the source of goes on.
    """
    row = by_key(connection, FetchModel.kind, key)
    if row is None or not isinstance(row.job, FetchModel) or row.job.by_person:
        return
    _close(connection, [key], _OPEN_FETCH, now)


def _close(connection: Connection, keys: Collection[str], which: Prepared, now: float) -> None:
    if keys:
        every = as_list(natural_key(key) for key in keys)
        which.run(connection, keys=every, now=now)


def _closing(which: ColumnElement[bool]) -> Prepared:
    """Return what closes the searches and transfers of some models, if they are *which*."""
    kinds = or_(jobs.c.kind == "resolve", jobs.c.kind == "fetch")
    return Prepared(
        update(jobs)
        .where(kinds, jobs.c.key.in_(from_list("keys")), which)
        .values(state=DONE, trouble=None, updated_at=bindparam("now"))
    )


_ENDED_OTHERWISE = or_(*(jobs.c.state == state for state in (FAILED, SET_ASIDE, CANCELED)))
_SETTLED = _closing(_ENDED_OTHERWISE)
_OPEN_FETCH = _closing(
    and_(jobs.c.kind == "fetch", or_(*(jobs.c.state == state for state in OPEN)))
)
_UNWANTED = _closing(and_(jobs.c.kind == "fetch", jobs.c.state == WAITING, jobs.c.priority < NOW))
_OVER = _closing(or_(_ENDED_OTHERWISE, and_(jobs.c.kind == "resolve", jobs.c.state == WAITING)))


def release(connection: Connection, job_id: int, now: float) -> None:
    """Give a job back that we interrupted ourselves; nothing is counted.

    One that was canceled meanwhile stays so.
    """
    connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.state == RUNNING)
        .values(state=WAITING, again=False, updated_at=now)  # its row says the newest already
    )


def put_off(connection: Connection, job_id: int, now: float, delay: float) -> None:
    """Let a job wait that has only been looked at; nothing is counted."""
    connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.state == RUNNING)
        .values(
            state=WAITING,
            not_before=case((jobs.c.again, 0.0), else_=now + delay),
            again=False,
            updated_at=now,
        )
    )


def any_on_the_way(connection: Connection) -> bool:
    """Whether models are being looked for or fetched."""
    return _ON_THE_WAY.first(connection) is not None


_ON_THE_WAY = Prepared(
    select(jobs.c.id)
    .where(
        or_(jobs.c.kind == "resolve", jobs.c.kind == "fetch"),
        or_(*(jobs.c.state == state for state in OPEN)),
    )
    .limit(1)
)


def open_keys(connection: Connection, kind: str) -> frozenset[str]:
    """Return the keys of the jobs of *kind* that wait or run."""
    return frozenset(row.key for row in _OPEN_KEYS.rows(connection, of=kind))


_OPEN_KEYS = Prepared(
    select(jobs.c.key).where(
        jobs.c.kind == bindparam("of"), or_(*(jobs.c.state == state for state in OPEN))
    )
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


def note_mark(connection: Connection, job_id: int, mark: Mark) -> None:
    """Remember what a part is being fetched under."""
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(mark=dumps(mark)))


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
        values |= {"not_before": 0.0, "attempts": 0, "crashes": 0, "mismatches": 0}
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(values))
    return job_row(row)


def open_jobs(connection: Connection) -> int:
    count: int = connection.execute(
        select(func.count()).select_from(jobs).where(jobs.c.state.in_(OPEN))
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
    return [job_row(row) for row in connection.execute(question)]


def one(connection: Connection, job_id: int) -> JobRow | None:
    row = connection.execute(select(jobs).where(jobs.c.id == job_id)).one_or_none()
    return None if row is None else job_row(row)


def by_key(connection: Connection, kind: str, key: str) -> JobRow | None:
    row = connection.execute(
        select(jobs).where(jobs.c.kind == kind, jobs.c.key == natural_key(key))
    ).one_or_none()
    return None if row is None else job_row(row)


def counts(connection: Connection) -> dict[tuple[str, str], int]:
    """Return how many jobs there are by (kind, state)."""
    rows = connection.execute(
        select(jobs.c.kind, jobs.c.state, func.count()).group_by(jobs.c.kind, jobs.c.state)
    )
    return {(kind, state): count for kind, state, count in rows}
