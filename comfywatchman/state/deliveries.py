"""Notices that are to be delivered, those that were given up, and what was told last."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, and_, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from comfywatchman.domain.errors import Trouble
from comfywatchman.state.coding import dumps, natural_key, trouble_from
from comfywatchman.state.prepared import Prepared
from comfywatchman.state.schema import deliveries, told, workflows

WAITING, DEAD = "waiting", "dead"

MOST_WAITING = 10_000
"""For one receiver: beyond that the oldest are given up."""
MOST_DEAD = 1000
"""For all: beyond that the oldest are forgotten."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One notice on its way to one receiver."""

    id: int
    """Rises with each notice, so that a receiver can put them in order."""
    delivery: str
    """Tells this one from all others, also where it comes twice."""
    target: str
    """Key of the receiver."""
    event: str
    body: bytes
    state: str
    attempts: int
    not_before: float
    created_at: float
    trouble: Trouble | None


# -- what was told last


def told_of(connection: Connection, subject: str) -> str | None:
    """Return the state of *subject* that was told last."""
    row = _TOLD.first(connection, subject=natural_key(subject))
    return None if row is None else row.state


def note_told(connection: Connection, subject: str, state: str, now: float) -> None:
    _NOTE.run(connection, subject=natural_key(subject), state=natural_key(state), at=now)


def forget_told(connection: Connection, subject: str) -> None:
    """Let the next state of *subject* be news, whichever it is."""
    _FORGET.run(connection, subject=natural_key(subject))


def forget_errors(connection: Connection) -> None:
    """Errors that last are news again after a start, and the settings were right then."""
    errors = and_(told.c.subject >= "error ", told.c.subject < "error!")
    connection.execute(delete(told).where(or_(errors, told.c.subject == "settings")))


def workflow_state(connection: Connection, path: Path) -> str | None:
    """Return the state in which a workflow was left, whoever was told of it."""
    row = _LEFT.first(connection, path=path)
    return None if row is None else row.state


_LEFT = Prepared(select(workflows.c.state).where(workflows.c.path == bindparam("path")))
_TOLD = Prepared(select(told.c.state).where(told.c.subject == bindparam("subject")))
_FORGET = Prepared(delete(told).where(told.c.subject == bindparam("subject")))
_INSERT = upsert(told)
_NOTE = Prepared(
    _INSERT.on_conflict_do_update(
        index_elements=["subject"],
        set_={"state": _INSERT.excluded.state, "at": _INSERT.excluded.at},
    ),
    ["subject", "state", "at"],
)


# -- on their way


def new_delivery() -> str:
    return f"msg_{uuid.uuid4().hex}"


def add(  # noqa: PLR0917 - the columns of a row
    connection: Connection, delivery: str, target: str, event: str, body: bytes, now: float
) -> None:
    """Let a notice wait for its first try."""
    connection.execute(
        insert(deliveries).values(
            delivery=delivery,
            target=target,
            event=event,
            body=body,
            state=WAITING,
            attempts=0,
            not_before=now,
            created_at=now,
        )
    )


def due(connection: Connection, target: str, now: float, most: int = 1) -> list[Delivery]:
    """Return the next notices for a receiver that may be tried now, oldest first."""
    rows = connection.execute(
        select(deliveries)
        .where(
            deliveries.c.target == target,
            deliveries.c.state == WAITING,
            deliveries.c.not_before <= now,
        )
        .order_by(deliveries.c.id)
        .limit(most)
    )
    return [_delivery(row) for row in rows]


def next_time(connection: Connection, target: str) -> float | None:
    """Return when the next notice for a receiver may be tried (Unix seconds)."""
    found: float | None = connection.execute(
        select(func.min(deliveries.c.not_before)).where(
            deliveries.c.target == target, deliveries.c.state == WAITING
        )
    ).scalar()
    return found


def delivered(connection: Connection, ids: Collection[int]) -> None:
    connection.execute(delete(deliveries).where(deliveries.c.id.in_(ids)))


def failed(
    connection: Connection, ids: Collection[int], trouble: Trouble, again_at: float | None
) -> None:
    """Note a try in vain; with no time for another one the notices are given up."""
    values: dict[str, object] = {
        "attempts": deliveries.c.attempts + 1,
        "trouble": dumps(trouble),
        "state": DEAD if again_at is None else WAITING,
    }
    if again_at is not None:
        values["not_before"] = again_at
    connection.execute(update(deliveries).where(deliveries.c.id.in_(ids)).values(values))


def expire(connection: Connection, target: str, since: float, trouble: Trouble) -> int:
    """Give up what waits for a receiver since before *since*; return how many."""
    done = connection.execute(
        update(deliveries)
        .where(
            deliveries.c.target == target,
            deliveries.c.state == WAITING,
            deliveries.c.created_at < since,
        )
        .values(state=DEAD, trouble=dumps(trouble))
    )
    return done.rowcount


def bring_forward(connection: Connection, latest: float) -> None:
    """Let notices that would not be tried before *latest* be tried now."""
    connection.execute(
        update(deliveries)
        .where(deliveries.c.state == WAITING, deliveries.c.not_before > latest)
        .values(not_before=0.0, created_at=func.min(deliveries.c.created_at, latest))
    )


def shed(connection: Connection, targets: Collection[str], trouble: Trouble, gone: Trouble) -> None:
    """Give up what is too much, and what is for nobody any more; forget the oldest of the dead.

    Args:
        connection: in a transaction.
        targets: keys of the receivers that there are.
        trouble: why too many notices of one receiver are given up.
        gone: why those of a receiver that the settings do not name any more are.
    """
    waiting = deliveries.c.state == WAITING
    connection.execute(
        update(deliveries)
        .where(waiting, deliveries.c.target.not_in(targets))
        .values(state=DEAD, trouble=dumps(gone))
    )
    for target in targets:
        mine = (waiting, deliveries.c.target == target)
        last = connection.execute(
            select(deliveries.c.id)
            .where(*mine)
            .order_by(deliveries.c.id.desc())
            .offset(MOST_WAITING)
            .limit(1)
        ).scalar()
        if last is not None:
            connection.execute(
                update(deliveries)
                .where(*mine, deliveries.c.id <= last)
                .values(state=DEAD, trouble=dumps(trouble))
            )
    oldest = (
        select(deliveries.c.id)
        .where(deliveries.c.state == DEAD)
        .order_by(deliveries.c.id.desc())
        .offset(MOST_DEAD)
        .limit(1)
        .scalar_subquery()
    )
    connection.execute(
        delete(deliveries).where(deliveries.c.state == DEAD, deliveries.c.id <= oldest)
    )


# -- for people


def listed(connection: Connection, limit: int = 200) -> list[Delivery]:
    """Return those that were given up first, then those that wait; newest first."""
    rows = connection.execute(
        select(deliveries)
        .order_by(deliveries.c.state == WAITING, deliveries.c.id.desc())
        .limit(limit)
    )
    return [_delivery(row) for row in rows]


def counts(connection: Connection) -> dict[str, int]:
    """Return how many wait and how many were given up."""
    rows = connection.execute(select(deliveries.c.state, func.count()).group_by(deliveries.c.state))
    return {WAITING: 0, DEAD: 0, **{row[0]: row[1] for row in rows}}


def counts_of_each(connection: Connection) -> dict[tuple[str, str], int]:
    """Return how many there are by (key of the receiver, state)."""
    rows = connection.execute(
        select(deliveries.c.target, deliveries.c.state, func.count()).group_by(
            deliveries.c.target, deliveries.c.state
        )
    )
    return {(target, state): count for target, state, count in rows}


def retry(connection: Connection, ids: Sequence[int] | None, now: float) -> int:
    """Let notices be tried again at once, those of *ids* or all that were given up."""
    which = deliveries.c.state == DEAD if ids is None else deliveries.c.id.in_(ids)
    done = connection.execute(
        update(deliveries).where(which).values(state=WAITING, attempts=0, not_before=now)
    )
    return done.rowcount


def drop(connection: Connection, ids: Sequence[int] | None) -> int:
    """Forget notices, those of *ids* or all that were given up."""
    which = deliveries.c.state == DEAD if ids is None else deliveries.c.id.in_(ids)
    return connection.execute(delete(deliveries).where(which)).rowcount


def _delivery(row: object) -> Delivery:
    values = row._asdict()  # type: ignore[attr-defined]  # a row of SQLAlchemy's
    return Delivery(**{**values, "trouble": trouble_from(values["trouble"])})
