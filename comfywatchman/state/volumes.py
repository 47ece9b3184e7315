"""Which file system a device number stood for: drives get their numbers as they come."""

from __future__ import annotations

import time
from collections.abc import Mapping

from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert

from comfywatchman.state.coding import dumps, loads
from comfywatchman.state.schema import knowledge

_NAME = "volumes"


def known(connection: Connection) -> dict[int, int]:
    """Return device number -> identity of the file system that had it last (statvfs, f_fsid)."""
    question = select(knowledge.c.detail).where(knowledge.c.name == _NAME)
    detail = connection.execute(question).scalar()
    return {} if detail is None else loads(detail, dict[int, int])


def note(connection: Connection, volumes: Mapping[int, int]) -> None:
    """Store what the device numbers stand for now; others keep what they stood for."""
    values = {
        "stamp": "statvfs",
        "detail": dumps({**known(connection), **volumes}),
        "noted_at": time.time(),
    }
    statement = insert(knowledge).values(name=_NAME, **values)
    connection.execute(
        statement.on_conflict_do_update(index_elements=[knowledge.c.name], set_=values)
    )
