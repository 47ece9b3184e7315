"""What was placed, and whether anybody had promised the bytes."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from sqlalchemy import Connection, and_, exists, insert, select

from comfywatchman.domain.messages import ModelPlaced
from comfywatchman.state.coding import natural_key
from comfywatchman.state.schema import models, placements


def note(connection: Connection, event: ModelPlaced, now: float) -> None:
    connection.execute(
        insert(placements).values(
            folder=event.folder,
            name=natural_key(event.name),
            path=event.path,
            sha256=event.measured.sha256,
            size=event.measured.size,
            source=event.source,
            placed_at=now,
            promised=event.promised,
        )
    )


def unverifiable(connection: Connection, among: Collection[Path] | None = None) -> frozenset[Path]:
    """Return the files that we placed and nobody ever published the hash of, all or some.

    One that was changed since, or that went, is not among them.
    """
    proven = placements.alias()
    question = (
        select(placements.c.path)
        .join(
            models,
            and_(models.c.path == placements.c.path, models.c.sha256 == placements.c.sha256),
        )
        .where(
            placements.c.promised.is_(False),
            ~exists().where(proven.c.sha256 == placements.c.sha256, proven.c.promised),
        )
    )
    if among is not None:
        question = question.where(placements.c.path.in_(among))
    return frozenset(connection.execute(question).scalars())
