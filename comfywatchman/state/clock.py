"""What waits for a time of day, when that is set to another one."""

from __future__ import annotations

from sqlalchemy import Connection, func, update

from comfywatchman.state import deliveries
from comfywatchman.state.job_rows import WAITING
from comfywatchman.state.schema import deliveries as notices
from comfywatchman.state.schema import jobs

LONGEST_SECONDS = 2 * 3600.0
"""No job is put off for longer: a source that asks for more than an hour is asked after that."""


def stepped(connection: Connection, seconds: float, now: float) -> None:
    """Have jobs and notices wait no longer than they should though the clock was set.

    Args:
        connection: in a transaction.
        seconds: by how much it was set forward, or went on during a sleep; negative: set back.
        now: what it shows since.
    """
    if seconds < 0:
        for table, waiting in ((jobs, WAITING), (notices, deliveries.WAITING)):
            connection.execute(
                update(table)
                .where(table.c.state == waiting, table.c.not_before > now)
                .values(not_before=func.max(now, table.c.not_before + seconds))
            )
    # A notice is given up so long after it was made: time that nobody lived through is none.
    connection.execute(
        update(notices)
        .where(notices.c.state == deliveries.WAITING)
        .values(created_at=notices.c.created_at + seconds)
    )


def none_later(connection: Connection, now: float) -> None:
    """Let jobs be tried now that wait for longer than any: the clock was set back meanwhile."""
    connection.execute(
        update(jobs)
        .where(jobs.c.state == WAITING, jobs.c.not_before > now + LONGEST_SECONDS)
        .values(not_before=0.0)
    )
