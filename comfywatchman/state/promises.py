"""Hashes that workflows state: whose news it is when some bytes come, or go."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
)
from sqlalchemy.dialects import sqlite

from comfywatchman.domain.files import Stamp
from comfywatchman.domain.references import Analysis, ModelReference, ReferenceState
from comfywatchman.state import models as by_path
from comfywatchman.state import rows_of
from comfywatchman.state.coding import natural_key, searchable
from comfywatchman.state.directories import at_or_below
from comfywatchman.state.prepared import Prepared
from comfywatchman.state.schema import models, promises, wants

AUTOV2, AUTOV3 = 10, 12
"""How many digits others write of a SHA-256, and of that without a safetensors header."""

_KINDS = frozenset({"SHA256", "AutoV2", "AutoV3"})
UNDECIDED = (ReferenceState.ELSEWHERE.value, ReferenceState.AMBIGUOUS.value)
"""What a workflow asks for, and nobody knows yet which file it is."""

_MOST = 4
"""Spellings of one file's hashes."""

_HERE = Path("/here")
"""Stands for what is asked about; the driver gets the real values."""


def note(connection: Connection, analysis: Analysis) -> None:
    """Store what a workflow promises, in place of what it did before."""
    rows = (
        {"folder": folder, "name": name, "digits": digits}
        for reference in (f.reference for f in analysis.findings if f.reference.active)
        for folder, name in [(reference.folder or "", natural_key(reference.name))]
        for digits in stated(reference)
    )
    rows_of.replace(connection, promises, analysis.path, rows)


def forget(connection: Connection, workflow: Path) -> None:
    connection.execute(delete(promises).where(promises.c.workflow == workflow))


def stated(reference: ModelReference) -> Iterator[str]:
    """Yield the digits of each hash of the bytes that a workflow states."""
    yield from (each.sha256 for each in reference.declared if each.sha256)
    yield from (each.digits for each in reference.short_hashes if each.kind in _KINDS)


# -- bytes


def spellings(sha256: str | None, after_sha256: str | None) -> frozenset[str]:
    """Return every way in which a workflow may state the hash of these bytes.

    AutoV3 is that of the whole file where a program knows no safetensors header.
    """
    found = {after_sha256[:AUTOV3]} if after_sha256 else set()
    if sha256:
        found |= {sha256, sha256[:AUTOV2], sha256[:AUTOV3]}
    return frozenset(found)


def proven(connection: Connection, path: Path) -> frozenset[str]:
    """Return the same of the file at *path*, as far as its row proves anything."""
    row = _PROVEN.first(connection, of=path)
    return frozenset() if row is None else spellings(*row)


_PROVEN = Prepared(
    select(models.c.sha256, models.c.after_sha256).where(
        models.c.path == bindparam("of"), models.c.racy.is_(False), models.c.rot.is_(None)
    )
)


def known(connection: Connection, reference: ModelReference) -> bool:
    """Whether a file has the bytes that *reference* states."""
    for digits in stated(reference):
        if any(file.whole for file in by_path.hash_begins(connection, digits)):
            return True
        if len(digits) == AUTOV3 and by_path.after_begins(connection, digits):
            return True
    return False


def promising(
    connection: Connection, digits: Collection[str], *, lacking: bool = False
) -> set[Path]:
    """Return the workflows that state one of *digits*; *lacking*: whose file is not in place."""
    if not digits:
        return set()
    question = select(promises.c.workflow).where(promises.c.digits.in_(list(digits)))
    if lacking:
        question = question.join(wants, _of_the_same).where(
            wants.c.state != ReferenceState.PRESENT.value
        )
    return set(connection.execute(question.distinct()).scalars())


def promising_from(connection: Connection, directory: Path) -> set[Path]:
    """Return the workflows that state the hash of a file at or below *directory*."""
    found = select(promises.c.workflow).join(models, promises.c.digits.in_(_spelled))
    return set(connection.execute(found.where(at_or_below(models.c.path, directory))).scalars())


def doubting(connection: Connection, filename: str, digits: Collection[str]) -> set[Path]:
    """Return the workflows for which it matters that a file of this name has this hash.

    They state another one, or do not know yet whether it is the file that they mean.
    """
    base = searchable(filename)
    stem = searchable(filename.rpartition(".")[0] or filename)
    stated = exists().where(_of_the_same)
    kept = stated.where(promises.c.digits.in_(list(digits)))
    rows = connection.execute(
        select(wants.c.workflow)
        .where(
            or_(wants.c.base == base, wants.c.stem == stem),
            or_(wants.c.state.in_(UNDECIDED), and_(stated, ~kept)),
        )
        .distinct()
    )
    return set(rows.scalars())


def measured_since(connection: Connection, filename: str, since: float) -> bool:
    """Whether a file of this name was measured at or after *since*, seconds since the epoch."""
    found = select(models.c.path).where(
        models.c.base == searchable(filename.rpartition("/")[2]), models.c.verified_at >= since
    )
    return connection.execute(found.limit(1)).first() is not None


_of_the_same = and_(
    promises.c.workflow == wants.c.workflow,
    promises.c.folder == wants.c.folder,
    promises.c.name == wants.c.name,
)
_spelled = (
    models.c.sha256,
    func.substr(models.c.sha256, 1, AUTOV2),
    func.substr(models.c.sha256, 1, AUTOV3),
    func.substr(models.c.after_sha256, 1, AUTOV3),
)


# -- which files are to be measured for it


def named_with(digits: int | None = None) -> ColumnElement[bool]:
    """Return the condition that a model has a name for which a workflow states a hash.

    *digits* is how many of them that hash has. A name without a suffix may have any.
    """
    wanted = _names_with(digits)
    return or_(models.c.base.in_(wanted), models.c.stem.in_(wanted))


def called_without_suffix() -> ColumnElement[bool]:
    """Return the same condition for models whose suffix the workflow leaves out."""
    return models.c.stem.in_(_names_with(None))


def _names_with(digits: int | None) -> Select[tuple[str]]:
    wanted = select(wants.c.base).join(promises, _of_the_same)
    return wanted if digits is None else wanted.where(func.length(promises.c.digits) == digits)


def stated_where(condition: ColumnElement[bool]) -> Select[tuple[str]]:
    """Return the digits that workflows state about models they want on this *condition*."""
    return select(promises.c.digits).join(wants, _of_the_same).where(condition)


def any_promise(connection: Connection) -> bool:
    return connection.execute(select(promises.c.digits).limit(1)).first() is not None


class Promised:
    """The question about one file after the other, asked of the driver itself, for a sweep's news.

    Made for a moment, by the thread that asks.
    """

    def __init__(self, connection: Connection) -> None:
        self._any = any_promise(connection)
        self._cursor = connection.connection.cursor()

    def losing(self, path: Path, stamp: Stamp | None = None) -> set[Path]:
        """Return the workflows that state the bytes of *path*, unless *stamp* is still its own."""
        if not self._any:
            return set()
        self._cursor.execute(_digests(), (os.fsencode(path),))
        row = self._cursor.fetchone()
        if row is None or (stamp is not None and row[2:] == (stamp.size, stamp.mtime_ns)):
            return set()
        digits = sorted(spellings(row[0], row[1]))
        if not digits:
            return set()
        self._cursor.execute(_promising(), (*digits, *(_MOST - len(digits)) * digits[-1:]))
        return {Path(os.fsdecode(workflow)) for (workflow,) in self._cursor.fetchall()}


@cache
def _digests() -> str:
    columns = ("sha256", "after_sha256", "size", "mtime_ns")
    question: Select[tuple[object, ...]] = select(*(models.c[name] for name in columns)).where(
        models.c.path == _HERE
    )
    return str(question.compile(dialect=sqlite.dialect()))


@cache
def _promising() -> str:
    stated = or_(*(promises.c.digits == "" for _ in range(_MOST)))
    question = select(promises.c.workflow).where(stated).distinct()
    return str(question.compile(dialect=sqlite.dialect()))
