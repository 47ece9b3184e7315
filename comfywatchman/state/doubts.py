"""Whether the file that is being fetched is still the one that is meant."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import Connection, bindparam, or_, select

from comfywatchman.domain.jobs import FetchModel, ResolveReference
from comfywatchman.state.coding import loads, natural_key
from comfywatchman.state.job_rows import DONE, OPEN
from comfywatchman.state.prepared import Prepared
from comfywatchman.state.schema import jobs

Doubt = Literal["question", "replaced", "searched"]
"""``question``: a person has to say which file is meant. ``replaced``: other bytes are to be
fetched instead. ``searched``: a workflow said more, and the places are asked once more."""


def about(
    connection: Connection, job_id: int, job: FetchModel, *, since: float = 0.0
) -> Doubt | None:
    """Say what speaks against going on with a transfer, if something does.

    Nothing does where a person named the source, nor does a search that was asked for before
    *since* (Unix seconds): a command does not carry out what others left behind.
    """
    if job.by_person:
        return None
    row = _ROW.first(connection, of=job_id)
    if row is None:
        return None
    if row.state == DONE:
        return "question"  # taken back while it ran
    meant = loads(row.payload, FetchModel)
    if {s.sha256 for s in meant.sources} != {s.sha256 for s in job.sources}:
        return "replaced"
    searched = _OPEN_SEARCH.first(connection, key=natural_key(job.key), since=since)
    return None if searched is None else "searched"


_ROW = Prepared(select(jobs.c.state, jobs.c.payload).where(jobs.c.id == bindparam("of")))
_OPEN_SEARCH = Prepared(
    select(jobs.c.id).where(
        jobs.c.kind == ResolveReference.kind,
        jobs.c.key == bindparam("key"),
        jobs.c.updated_at >= bindparam("since"),
        or_(*(jobs.c.state == state for state in OPEN)),
    )
)
