"""Names without a suffix, of which a node takes any file that has one in its own (rgthree)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Text, bindparam, func, select

from comfywatchman.domain.files import MODEL_SUFFIXES
from comfywatchman.domain.references import Finding, Hint, Lookup
from comfywatchman.state.coding import searchable
from comfywatchman.state.prepared import Prepared
from comfywatchman.state.schema import wants

if TYPE_CHECKING:
    from sqlalchemy import Connection

_ANY = "/"
"""Stands as the name of the file that such a workflow waits for: no file has it."""


def names_of(finding: Finding) -> tuple[str, str]:
    """Return, as they are searched, the name and the stem of the file which is news to a finding.

    What was found by a part of its name is called otherwise, and of what was not found that way
    nobody knows how it will be called.
    """
    wanted = finding.reference
    base = wanted.name.rsplit("/", 1)[-1]
    if finding.path is not None and finding.hint is not None:
        if finding.hint.code == Hint.PART_OF_NAME:
            base = finding.path.name
    elif wanted.lookup is Lookup.BASENAME and not base.lower().endswith(tuple(MODEL_SUFFIXES)):
        return _ANY, searchable(base)
    return searchable(base), searchable(base.rpartition(".")[0] or base)


def taking(connection: Connection, path: Path) -> list[Path]:
    """Return the workflows that wait for a file which has some name in its path."""
    where = str(path).encode("utf-8", "backslashreplace").decode()
    return [row.workflow for row in _TAKING.rows(connection, where=where)]


def anybody(connection: Connection) -> bool:
    """Whether any workflow waits for such a file."""
    return _ANYBODY.first(connection) is not None


_WAITING = wants.c.base == _ANY
_HAS_IT = func.instr(bindparam("where", type_=Text), wants.c.name) > 0
_TAKING = Prepared(select(wants.c.workflow).where(_WAITING, _HAS_IT))
_ANYBODY = Prepared(select(wants.c.name).where(_WAITING).limit(1))
