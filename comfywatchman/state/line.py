"""The line of jobs that wait: who is next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Connection, and_, bindparam, func, or_, select, tuple_, update

from comfywatchman.domain.jobs import AnalyzeWorkflow, FetchModel
from comfywatchman.state.job_rows import RUNNING, WAITING, JobRow, job_row
from comfywatchman.state.prepared import Prepared, as_list, from_list
from comfywatchman.state.schema import jobs

Crowded = Callable[[Mapping[str, int], Collection[str]], Collection[str]]
"""Given how many transfers go to each folder now, and the folders of those that wait: which of the
latter to leave out, since their volume is busy enough."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Which of the jobs that wait may run now."""

    per_host: int | None = None
    """So many at a time from one host."""
    since: float = 0.0
    """None that was last asked for before (Unix seconds)."""
    above: int | None = None
    """Only those of a higher priority than this."""
    crowded: Crowded | None = None
    """Leaves out what goes to a busy volume."""
    until: float | None = None
    """When other rules will hold (Unix seconds)."""
    behind: float | None = None
    """None while a workflow is yet to be read, as urgently, that was asked for before this (Unix
    seconds): it may say more about what is looked for."""


ANY = Rules()
"""All of them."""


def claim(connection: Connection, kind: str, now: float, rules: Rules = ANY) -> JobRow | None:
    """Take the next job of *kind* that may run now, and mark it as running."""
    found = claimable(connection, kind, now, rules)
    if found is None:
        return None
    (row,) = _TAKE.rows(connection, of=found, now=now)
    return job_row(row)


_TAKE = Prepared(
    update(jobs)
    .where(jobs.c.id == bindparam("of"))
    .values(state=RUNNING, updated_at=bindparam("now"))
    .returning(jobs)
)


def claimable(
    connection: Connection, kind: str, now: float, rules: Rules = ANY, *, without: int | None = None
) -> int | None:
    """Return the job of *kind* that is next in line and may run now, by its number.

    No two jobs of one lane run at a time. *without* is a running job that is thought away, but
    for its lane: who wants the same bytes waits for them.
    """
    # Others than transfers have no lanes.
    busy = _BUSY.rows(connection, of=kind) if kind == FetchModel.kind else []
    lanes = {row.lane for row in busy if row.lane is not None}
    busy = [row for row in busy if row.id != without]
    by_host = Counter(row.host for row in busy if row.host is not None)
    full = {host for host, count in by_host.items() if rules.per_host and count >= rules.per_host}
    asked: dict[str, object] = {
        "of": kind,
        "now": now,
        "since": rules.since,
        "above": _LOWEST if rules.above is None else rules.above,
        "lanes": as_list(lanes),
        "hosts": as_list(full),
        "folders": as_list(()),
    }
    if rules.crowded is not None and busy:
        waiting = {row.folder for row in _TO_FOLDERS.rows(connection, **asked)}
        going = Counter(row.folder for row in busy if row.folder is not None)
        left_out = rules.crowded(going, {folder for folder in waiting if folder is not None})
        asked["folders"] = as_list(left_out)
    found = _NEXT.first(connection, **asked)
    if found is None or _is_read_first(connection, now, rules, found.priority):
        return None
    return int(found.id)


def _is_read_first(connection: Connection, now: float, rules: Rules, priority: int) -> bool:
    if rules.behind is None:
        return False
    told = {"now": now, "since": rules.since, "behind": rules.behind, "priority": priority}
    return _UNREAD.first(connection, **told) is not None


_UNREAD = Prepared(
    select(jobs.c.id)
    .where(
        jobs.c.kind == AnalyzeWorkflow.kind,
        jobs.c.priority >= bindparam("priority"),
        jobs.c.updated_at >= bindparam("since"),
        or_(
            and_(
                jobs.c.state == WAITING,
                jobs.c.not_before <= bindparam("now"),
                jobs.c.updated_at <= bindparam("behind"),
            ),
            # Taken since, it may have waited then; one that did not exist yet did not.
            and_(jobs.c.state == RUNNING, jobs.c.created_at <= bindparam("behind")),
        ),
    )
    .limit(1)
)


_LOWEST = -(1 << 31)
"""A priority below every one there is."""

_BUSY = Prepared(
    select(jobs.c.id, jobs.c.lane, jobs.c.host, jobs.c.folder).where(
        jobs.c.kind == bindparam("of"), jobs.c.state == RUNNING
    )
)
_MAY_RUN = (
    jobs.c.kind == bindparam("of"),
    jobs.c.state == WAITING,
    jobs.c.not_before <= bindparam("now"),
    jobs.c.updated_at >= bindparam("since"),
    jobs.c.priority > bindparam("above"),
    *(
        or_(column.is_(None), column.not_in(from_list(name)))
        for name, column in (
            ("lanes", jobs.c.lane),
            ("hosts", jobs.c.host),
            ("folders", jobs.c.folder),
        )
    ),
)
_TO_FOLDERS = Prepared(select(jobs.c.folder).where(*_MAY_RUN).distinct())
_NEXT = Prepared(
    select(jobs.c.id, jobs.c.priority)
    .where(*_MAY_RUN)
    .order_by(jobs.c.priority.desc(), jobs.c.turn, jobs.c.id)
    .limit(1)
)


def before(connection: Connection, job_id: int) -> list[JobRow]:
    """Return the jobs of the same kind that are before one in line and wait, the next ones."""
    return [job_row(row) for row in _BEFORE.rows(connection, of=job_id)]


_MOST_BEFORE = 64
_ME = jobs.alias()
_BEFORE = Prepared(
    select(jobs)
    .join(_ME, and_(_ME.c.id == bindparam("of"), _ME.c.kind == jobs.c.kind))
    .where(
        jobs.c.state == WAITING,
        tuple_(-jobs.c.priority, jobs.c.turn, jobs.c.id)
        < tuple_(-_ME.c.priority, _ME.c.turn, _ME.c.id),
    )
    .order_by(jobs.c.priority.desc(), jobs.c.turn, jobs.c.id)
    .limit(_MOST_BEFORE)
)


def next_time(connection: Connection, kind: str, rules: Rules = ANY) -> float | None:
    """Say when the next waiting job of *kind* may run, seconds since the epoch."""
    above = _LOWEST if rules.above is None else rules.above
    row = _NEXT_TIME.first(connection, of=kind, since=rules.since, above=above)
    found: float | None = row.time
    return found


_NEXT_TIME = Prepared(
    select(func.min(jobs.c.not_before).label("time")).where(
        jobs.c.kind == bindparam("of"),
        jobs.c.state == WAITING,
        jobs.c.updated_at >= bindparam("since"),
        jobs.c.priority > bindparam("above"),
    )
)


def in_the_way(
    connection: Connection, kind: str, now: float, rules: Rules, *, at_once: int
) -> int | None:
    """Return the running job that should make place for one of a higher priority.

    It is the least urgent of those whose end would let the other run; ``None`` where there is
    none, or where the other will run anyhow.

    Args:
        connection: to read with.
        kind: of the jobs.
        now: seconds since the epoch.
        rules: which may run.
        at_once: how many may run at a time.
    """
    running = connection.execute(
        select(jobs.c.id, jobs.c.priority)
        .where(jobs.c.kind == kind, jobs.c.state == RUNNING)
        .order_by(jobs.c.priority, jobs.c.turn.desc(), jobs.c.id.desc())
    ).all()
    for row in running:
        above = replace(rules, above=row.priority)
        if claimable(connection, kind, now, above, without=row.id) is None:
            continue
        waits = len(running) >= at_once or claimable(connection, kind, now, above) is None
        return row.id if waits else None
    return None
