"""What is known of the bytes of model files: what measures told, and what is to be measured."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
    tuple_,
    update,
)

from comfywatchman.domain.errors import DiskFailed, FileUnreadable, Trouble
from comfywatchman.domain.files import Digests, Measured, Reading, Stamp
from comfywatchman.state import promises
from comfywatchman.state.coding import trouble_bytes
from comfywatchman.state.directories import at_or_below
from comfywatchman.state.schema import claims, models, wants
from comfywatchman.state.stamps import OF_THE_BYTES

_STAMP = (models.c.device, models.c.inode, models.c.size, models.c.mtime_ns, models.c.ctime_ns)

_SAME = tuple(f"same_{column.name}" for column in _STAMP)
_IS_SAME = tuple(column == bindparam(name) for column, name in zip(_STAMP, _SAME, strict=True))
_STILL_THERE = select(models.c.path).where(models.c.path == bindparam("at"), *_IS_SAME)
OF_READING = or_(
    *(
        func.instr(models.c.trouble, f'"{error.code}"'.encode()) > 0
        for error in (DiskFailed, FileUnreadable)
    )
)
"""Whether what is said against a file is that it could not be read."""

_MEASURED = (
    update(models).where(*_IS_SAME).values(trouble=case((OF_READING, None), else_=models.c.trouble))
)
"""Made once: of a thousand small files, making them takes longer than running them."""

_TO_MEASURE = and_(models.c.whole, or_(models.c.sha256.is_(None), models.c.racy))
"""The condition of the index ``models_to_measure``, word for word."""

WITH_HEADER = (".safetensors", ".sft")
"""Suffixes of files that have an AutoV3 hash, lowercase."""

_SHORT_OF = ("missing", "ambiguous", "elsewhere")
"""States of a reference for which the bytes of a file under another name may be the answer."""


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """A file whose bytes nobody has read yet, or not at a time that proves anything."""

    path: Path
    stamp: Stamp
    noted_at: float = 0.0
    """Seconds since the epoch; later than before means that there was news of the file."""


@dataclass(frozen=True, slots=True)
class Known:
    """A row with everything that is known of the file's bytes."""

    path: Path
    stamp: Stamp
    whole: bool
    sha256: str | None
    digests: Digests
    links: int | None
    measured_at_ns: int | None
    verified_at: float | None
    """Seconds since the epoch when all of it was last read and found as noted."""
    rot: str | None
    """The other SHA-256 that a later reading gave, though nothing had touched the file."""
    racy: bool

    def reading(self, stamp: Stamp, links: int | None) -> Reading | None:
        """Return what is known as a reading under another *stamp*; ``None`` if it is nothing."""
        if self.sha256 is None:
            return None
        measured = Measured(stamp.size, self.sha256)
        return Reading(stamp, measured, self.measured_at_ns or 0, self.digests, links, self.racy)


def measured(connection: Connection, path: Path, reading: Reading) -> bool:
    """Store *reading* if the row of *path* still has its stamp; return whether it had.

    Every other name of the same file, hard link or symlink, gets the same. If it could not
    be read before, that is forgotten.
    """
    same = dict(zip(_SAME, _values(reading.stamp), strict=True))
    if connection.execute(_STILL_THERE, {**same, "at": path}).one_or_none() is None:
        return False
    connection.execute(_MEASURED, {**same, **_columns(reading)})
    return True


def unreadable(connection: Connection, tried: Sequence[tuple[Path, Stamp, Trouble]]) -> None:
    """Note why files could not be read, at each row that still has the stamp of the trial.

    A reading that comes to its end forgets it.
    """
    for path, stamp, trouble in tried:
        same = (column == value for column, value in zip(_STAMP, _values(stamp), strict=True))
        row = update(models).where(models.c.path == path, models.c.whole, *same)
        connection.execute(row.values(trouble=trouble_bytes(trouble)))


def try_again(connection: Connection, root: Path, now: float) -> None:
    """Call it news that what waits below *root* is there; *now* is seconds since the epoch."""
    waiting = update(models).where(_TO_MEASURE, at_or_below(models.c.path, root))
    connection.execute(waiting.values(noted_at=now))


def forget_bytes(connection: Connection, path: Path) -> None:
    """Have the file at *path* measured again."""
    nothing = {column.name: None if column.nullable else False for column in OF_THE_BYTES}
    connection.execute(update(models).where(models.c.path == path).values(**nothing))


def doubt(connection: Connection, path: Path) -> None:
    """Keep what is known of the bytes of *path*, but no longer as a proof: they are read again."""
    unsure = update(models).where(models.c.path == path, models.c.sha256.isnot(None))
    connection.execute(unsure.values(racy=True))


def known(connection: Connection, path: Path) -> Known | None:
    row = connection.execute(select(models).where(models.c.path == path)).one_or_none()
    return None if row is None else _known(row)


def same_files(connection: Connection, items: Sequence[Unmeasured]) -> dict[Path, Known]:
    """Return, for those of *items* that have one, a measured name of what may be the same file.

    Inode, size and modification time are equal; the stamp may not be, which a new hard link does.
    """
    rows = connection.execute(
        select(models).where(
            models.c.inode.in_([item.stamp.inode for item in items]),
            models.c.sha256.isnot(None),
            models.c.racy.is_(False),
        )
    )
    measured = {_inode_key(known.stamp): known for known in map(_known, rows)}
    return {
        item.path: found
        for item in items
        if (found := measured.get(_inode_key(item.stamp))) is not None and found.path != item.path
    }


def unmeasured(
    connection: Connection,
    limit: int,
    after: tuple[int, Path] | None = None,
    without: Collection[int] = (),
) -> list[Unmeasured]:
    """Return files to measure, small ones first.

    Args:
        connection: to ask with.
        limit: how many, at most.
        after: size and path of the file to go on behind.
        without: devices whose files are left out.
    """
    question = select(models.c.path, *_STAMP, models.c.noted_at).where(_TO_MEASURE)
    if without:
        question = question.where(models.c.device.not_in(without))
    if after is not None:
        question = question.where(tuple_(models.c.size, models.c.path) > after)
    rows = connection.execute(question.order_by(models.c.size, models.c.path).limit(limit))
    return [_unmeasured(row) for row in rows]


def wanted(connection: Connection, limit: int) -> list[Unmeasured]:
    """Return files to measure before all others, small ones first.

    A workflow names them, or another program says that they have bytes that a workflow lacks.
    """
    named = select(wants.c.base)
    return _to_measure(
        connection,
        or_(models.c.base.in_(named), promises.called_without_suffix(), _claimed()),
        limit,
    )


def asked_for(connection: Connection, limit: int) -> list[Unmeasured]:
    """Return the files whose bytes a workflow asks for: it states a hash for their name."""
    return _to_measure(connection, or_(promises.named_with(), _claimed()), limit)


def without_autov3(connection: Connection, limit: int) -> list[Unmeasured]:
    """Return the measured files of a name for which a workflow states an AutoV3 hash.

    Theirs is not known: it is measured for LoRAs, or when somebody wants it.
    """
    rows = connection.execute(
        select(models.c.path, *_STAMP, models.c.noted_at)
        .where(
            models.c.whole,
            # Asked so that it goes by the names, of which there are few, and by no index of hashes.
            func.coalesce(models.c.sha256, "") != "",
            func.coalesce(models.c.after_sha256, "") == "",
            or_(*(models.c.base.endswith(suffix) for suffix in WITH_HEADER)),
            promises.named_with(promises.AUTOV3),
        )
        .order_by(models.c.size, models.c.path)
        .limit(limit)
    )
    return [_unmeasured(row) for row in rows]


def stating_autov3(connection: Connection, paths: Collection[Path]) -> frozenset[Path]:
    """Return those of *paths* for whose name a workflow states an AutoV3 hash."""
    question = select(models.c.path).where(
        models.c.path.in_(list(paths)), promises.named_with(promises.AUTOV3)
    )
    return frozenset(connection.execute(question).scalars())


def of_size(connection: Connection, size: int, limit: int, *, about: int = 0) -> list[Unmeasured]:
    """Return unmeasured files of *size* bytes, *about* so many more or less: one may be wanted."""
    return _to_measure(connection, models.c.size.between(size - about, size + about), limit)


def backlog(connection: Connection) -> tuple[int, int]:
    """Return how many files and bytes wait to be measured."""
    row = connection.execute(
        select(func.count(), func.coalesce(func.sum(models.c.size), 0)).where(_TO_MEASURE)
    ).one()
    return row[0], row[1]


def backlog_asked_for(connection: Connection) -> tuple[int, int]:
    """Return the same of those files only whose bytes a workflow asks for."""
    every = asked_for(connection, -1)
    return len(every), sum(item.stamp.size for item in every)


def _claimed() -> ColumnElement[bool]:
    """Paths that another program's cache says to have bytes that a workflow is short of."""
    lacking = promises.stated_where(wants.c.state.in_(_SHORT_OF))
    said = or_(claims.c.sha256.in_(lacking), claims.c.autov3.in_(lacking))
    return models.c.path.in_(select(claims.c.path).where(said))


def _to_measure(
    connection: Connection, condition: ColumnElement[bool], limit: int
) -> list[Unmeasured]:
    rows = connection.execute(
        select(models.c.path, *_STAMP, models.c.noted_at)
        .where(_TO_MEASURE, condition)
        .order_by(models.c.size, models.c.path)
        .limit(limit)
    )
    return [_unmeasured(row) for row in rows]


def _columns(reading: Reading) -> dict[str, str | int | float | bool | None]:
    return {
        "sha256": reading.measured.sha256,
        "measured_at_ns": reading.at_ns,
        "links": reading.links,
        "after_sha256": reading.digests.after_sha256,
        "autov1": reading.digests.autov1,
        "blake3": reading.digests.blake3,
        "sample": reading.digests.sample,
        "verified_at": reading.at_ns / 1e9,
        "rot": None,
        "racy": reading.racy,
    }


def _known(row: Any) -> Known:
    return Known(
        row.path,
        Stamp(row.device, row.inode, row.size, row.mtime_ns, row.ctime_ns),
        row.whole,
        row.sha256,
        Digests(row.after_sha256, row.autov1, row.blake3, row.sample),
        row.links,
        row.measured_at_ns,
        row.verified_at,
        row.rot,
        row.racy,
    )


def _unmeasured(row: Any) -> Unmeasured:
    return Unmeasured(row.path, Stamp(*row[1:6]), row.noted_at)


def _values(stamp: Stamp) -> Sequence[int]:
    return (stamp.device, stamp.inode, stamp.size, stamp.mtime_ns, stamp.ctime_ns)


def _inode_key(stamp: Stamp) -> tuple[int, int, int, int]:
    return (stamp.device, stamp.inode, stamp.size, stamp.mtime_ns)
