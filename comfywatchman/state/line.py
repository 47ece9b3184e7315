"""The line of jobs that wait: who is next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Connection, func, or_, select, update

from comfywatchman.state.job_rows import RUNNING, WAITING, JobRow, job_row
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


ANY = Rules()
"""All of them."""


def claim(connection: Connection, kind: str, now: float, rules: Rules = ANY) -> JobRow | None:
    """Take the next job of *kind* that may run now, and mark it as running."""
    found = claimable(connection, kind, now, rules)
    if found is None:
        return None
    row = connection.execute(
        update(jobs).where(jobs.c.id == found).values(state=RUNNING, updated_at=now).returning(jobs)
    ).one()
    return job_row(row)


def claimable(
    connection: Connection, kind: str, now: float, rules: Rules = ANY, *, without: int | None = None
) -> int | None:
    """Return the job of *kind* that is next in line and may run now, by its number.

    No two jobs of one lane run at a time. *without* is a running job that is thought away, but
    for its lane: who wants the same bytes waits for them.
    """
    busy = connection.execute(
        select(jobs.c.id, jobs.c.lane, jobs.c.host, jobs.c.folder).where(
            jobs.c.kind == kind, jobs.c.state == RUNNING
        )
    ).all()
    lanes = {row.lane for row in busy if row.lane is not None}
    busy = [row for row in busy if row.id != without]
    by_host = Counter(row.host for row in busy if row.host is not None)
    full = {host for host, count in by_host.items() if rules.per_host and count >= rules.per_host}
    may_run = [
        jobs.c.kind == kind,
        jobs.c.state == WAITING,
        jobs.c.not_before <= now,
        jobs.c.updated_at >= rules.since,
    ]
    if rules.above is not None:
        may_run.append(jobs.c.priority > rules.above)
    if lanes:
        may_run.append(or_(jobs.c.lane.is_(None), jobs.c.lane.not_in(lanes)))
    if full:
        may_run.append(or_(jobs.c.host.is_(None), jobs.c.host.not_in(full)))
    if rules.crowded is not None and busy:
        waiting = connection.execute(select(jobs.c.folder).where(*may_run).distinct()).scalars()
        going = Counter(row.folder for row in busy if row.folder is not None)
        left_out = rules.crowded(going, {folder for folder in waiting if folder is not None})
        if left_out:
            may_run.append(or_(jobs.c.folder.is_(None), jobs.c.folder.not_in(left_out)))
    found: int | None = connection.execute(
        select(jobs.c.id)
        .where(*may_run)
        .order_by(jobs.c.priority.desc(), jobs.c.turn, jobs.c.id)
        .limit(1)
    ).scalar()
    return found


def next_time(connection: Connection, kind: str, rules: Rules = ANY) -> float | None:
    """Say when the next waiting job of *kind* may run, seconds since the epoch."""
    question = select(func.min(jobs.c.not_before)).where(
        jobs.c.kind == kind, jobs.c.state == WAITING, jobs.c.updated_at >= rules.since
    )
    if rules.above is not None:
        question = question.where(jobs.c.priority > rules.above)
    found: float | None = connection.execute(question).scalar()
    return found


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
