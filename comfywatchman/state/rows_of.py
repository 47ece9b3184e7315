"""The rows that a table has of one workflow, brought to what they should be."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, and_, bindparam, delete, select
from sqlalchemy.dialects.sqlite import insert

from comfywatchman.state.prepared import Prepared

_Row = dict[str, Any]
"""By column; ``Any`` because columns are of every type."""


def replace(connection: Connection, table: Table, workflow: Path, rows: Iterable[_Row]) -> None:
    """Make *rows* all that *table* has of *workflow*; what is so already is not written again.

    A row has every column of the table but the workflow. Of several with one key the last counts.
    """
    keys = [column.name for column in table.primary_key if column.name != "workflow"]
    found = _known(table).rows(connection, of=workflow)
    before = {_key(row, keys): row for row in (each._asdict() for each in found)}
    wanted = {_key(row, keys): row for row in rows}
    gone = [key for key in before if key not in wanted]
    if gone and len(gone) == len(before):
        connection.execute(delete(table).where(table.c.workflow == workflow))
    elif gone:
        named = and_(*(table.c[name] == bindparam(f"gone_{name}") for name in keys))
        connection.execute(
            delete(table).where(table.c.workflow == workflow, named),
            [{f"gone_{name}": part for name, part in zip(keys, key, strict=True)} for key in gone],
        )
    changed = [row for key, row in wanted.items() if before.get(key) != row]
    if changed:
        _put(table).run_many(connection, ({**row, "workflow": workflow} for row in changed))


@cache
def _known(table: Table) -> Prepared:
    told = [column for column in table.c if column.name != "workflow"]
    return Prepared(select(*told).where(table.c.workflow == bindparam("of")))


def _key(row: _Row, keys: list[str]) -> tuple[Any, ...]:
    return tuple(row[name] for name in keys)


@cache
def _put(table: Table) -> Prepared:
    statement = insert(table)
    rest = {c.name: statement.excluded[c.name] for c in table.c if not c.primary_key}
    if rest:
        keys = [column.name for column in table.primary_key]
        statement = statement.on_conflict_do_update(index_elements=keys, set_=rest)
    return Prepared(statement, [column.name for column in table.c])
