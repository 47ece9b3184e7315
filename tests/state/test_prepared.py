"""Statements that are put into SQL once, and rows that are brought to what they should be."""

from __future__ import annotations

import sqlite3
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import bindparam, select, update

from comfywatchman.domain.files import Stamp
from comfywatchman.state import models, rows_of
from comfywatchman.state.keeper import Keeper
from comfywatchman.state.prepared import Prepared, as_list, from_list
from comfywatchman.state.schema import models as table
from comfywatchman.state.schema import promises, wants
from tests.state.rows import stamp

if TYPE_CHECKING:
    from comfywatchman.state.keeper import Connection

ODD = Path(b"/m/caf\xe9.safetensors".decode("utf-8", "surrogateescape"))
LARGE = Stamp(2**64 - 1, 2**63, 5, 1, 1)
WORKFLOW = Path("/wf/a.json")


def test_values_go_in_and_come_out_as_by_sqlalchemy(keeper: Keeper) -> None:
    of_path = Prepared(select(table).where(table.c.path == bindparam("of")))
    keeper.write(lambda c: models.note(c, ODD, LARGE, whole=False))

    row = keeper.write(lambda c: of_path.first(c, of=ODD))

    assert (row.path, row.device, row.inode, row.whole) == (ODD, 2**64 - 1, 2**63, False)
    assert keeper.write(lambda c: of_path.first(c, of=WORKFLOW)) is None


def test_a_list_of_any_length_goes_into_one_gap(keeper: Keeper) -> None:
    among = Prepared(select(table.c.base).where(table.c.base.in_(from_list("names"))))
    for name in ("a", 'b"]', "é"):
        path = Path("/m") / name
        keeper.write(partial(models.note, path=path, stamp=stamp(), whole=True))

    def found(*names: str) -> list[str]:
        rows = keeper.write(lambda c: among.rows(c, names=as_list(names)))
        return sorted(row.base for row in rows)

    assert found() == []
    assert found("é", 'b"]', *map(str, range(2_000))) == ['b"]', "é"]


def test_what_a_change_returns_is_read(keeper: Keeper) -> None:
    change = Prepared(
        update(table)
        .where(table.c.path == bindparam("of"))
        .values(whole=bindparam("now"))
        .returning(table.c.path, table.c.whole)
    )
    keeper.write(lambda c: models.note(c, ODD, stamp(), whole=True))

    (row,) = keeper.write(lambda c: change.rows(c, of=ODD, now=False))

    assert (row.path, row.whole) == (ODD, False)


def test_an_error_of_the_driver_undoes_the_transaction(keeper: Keeper) -> None:
    doubled = Prepared(promises.insert(), ["workflow", "folder", "name", "digits"])
    row = {"workflow": WORKFLOW, "folder": "f", "name": "n", "digits": "ab"}

    with pytest.raises(sqlite3.IntegrityError):
        keeper.write(lambda c: doubled.run_many(c, [row, row]))

    assert keeper.write(lambda c: c.execute(select(promises)).all()) == []


def wanted(name: str, state: str = "missing") -> dict[str, object]:
    return {
        "folder": "loras",
        "name": name,
        "base": name,
        "stem": name,
        "sha256": None,
        "declared": b"[]",
        "state": state,
    }


@pytest.mark.parametrize(
    "after",
    [
        [wanted("a"), wanted("b")],
        [wanted("a", "present"), wanted("b")],
        [wanted("b"), wanted("c")],
        [wanted("c")],
        [],
        [wanted("a"), wanted("b"), wanted("b", "elsewhere")],
    ],
)
def test_rows_are_brought_to_what_they_should_be(
    keeper: Keeper, after: list[dict[str, object]]
) -> None:
    other = Path("/wf/b.json")
    for workflow in (WORKFLOW, other):
        rows = [wanted("a"), wanted("b")]
        keeper.write(partial(rows_of.replace, table=wants, workflow=workflow, rows=rows))

    keeper.write(lambda c: rows_of.replace(c, wants, WORKFLOW, after))

    assert states(keeper, WORKFLOW) == {row["name"]: row["state"] for row in after}
    assert states(keeper, other) == {"a": "missing", "b": "missing"}


def states(keeper: Keeper, workflow: Path) -> dict[str, str]:
    question = select(wants.c.name, wants.c.state).where(wants.c.workflow == workflow)
    return keeper.write(lambda c: {row.name: row.state for row in c.execute(question)})


def test_rows_that_are_so_already_are_not_written(keeper: Keeper) -> None:
    rows = [wanted("a"), wanted("b")]
    keeper.write(lambda c: rows_of.replace(c, wants, WORKFLOW, rows))

    def changes(connection: Connection) -> int:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        before = driver.total_changes
        rows_of.replace(connection, wants, WORKFLOW, rows)
        return driver.total_changes - before

    assert keeper.write(changes) == 0
