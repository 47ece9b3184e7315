"""The tables, as SQLAlchemy Core sees them; the migrations beside this module make the same."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    literal,
)

if TYPE_CHECKING:
    from sqlalchemy import Dialect

REVISION = "0001"
"""The newest migration: what a database that this program writes must be at."""

APPLICATION_ID = 0x43574D31
"""Says in the file's header whose it is ("CWM1")."""


class PathColumn(TypeDecorator[Path]):
    """A path as its bytes, since file names need not be UTF-8."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Path | None, dialect: Dialect) -> bytes | None:
        return None if value is None else os.fsencode(value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Path | None:
        return None if value is None else Path(os.fsdecode(value))


def beneath(path: Path, end: bytes = b"/") -> ColumnElement[bytes]:
    """Return the bytes that begin whatever lies below *path*, which no `Path` can spell.

    ``b"0"`` is the byte after ``b"/"``, and so the end of that range.
    """
    return literal(os.fsencode(path) + end, LargeBinary)


class Unsigned(TypeDecorator[int]):
    """An inode or device number: 64 bits without a sign, which SQL does not have."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:
        if value is None:
            return None
        return value - 2**64 if value >= 2**63 else value

    def process_result_value(self, value: int | None, dialect: Dialect) -> int | None:
        return None if value is None else value % 2**64


def _stamp_columns() -> list[Column[int]]:
    return [
        Column("device", Unsigned, nullable=False),
        Column("inode", Unsigned, nullable=False),
        Column("size", BigInteger, nullable=False),
        Column("mtime_ns", BigInteger, nullable=False),
        Column("ctime_ns", BigInteger, nullable=False),
    ]


metadata = MetaData()

models = Table(
    "models",
    metadata,
    Column("path", PathColumn, primary_key=True),
    Column("directory", PathColumn, nullable=False),
    Column("base", Text, nullable=False),  # the last component, case folded
    Column("stem", Text, nullable=False),  # the same without its suffix
    *_stamp_columns(),
    Column("whole", Boolean, nullable=False),
    Column("sha256", Text),
    Column("measured_at_ns", BigInteger),
    Column("noted_at", Float, nullable=False),
    Column("trouble", LargeBinary),
    Index("models_by_directory", "directory"),
    Index("models_by_base", "base"),
    Index("models_by_stem", "stem"),
    Index("models_by_sha256", "sha256"),
    Index("models_by_inode", "inode"),
)

workflows = Table(
    "workflows",
    metadata,
    Column("path", PathColumn, primary_key=True),
    Column("directory", PathColumn, nullable=False),
    *(Column(column.name, column.type, nullable=True) for column in _stamp_columns()),
    Column("sha256", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("analyzed_at", Float, nullable=False),
    Column("reference_count", Integer, nullable=False),
    Column("lacking", LargeBinary, nullable=False),  # folder/name of each, for lists
    Column("trouble", LargeBinary),
    Column("analysis", LargeBinary, nullable=False),
    Index("workflows_by_directory", "directory"),
)

wants = Table(
    "wants",
    metadata,
    Column("workflow", PathColumn, primary_key=True),
    Column("folder", Text, primary_key=True),  # empty where nobody knows it
    Column("name", Text, primary_key=True),
    Column("base", Text, nullable=False),
    Column("stem", Text, nullable=False),
    Column("sha256", Text),
    Column("declared", LargeBinary, nullable=False),  # (url, sha256) of each place, best first
    Column("state", Text, nullable=False),
    Index("wants_by_base", "base"),
    Index("wants_by_stem", "stem"),
    Index("wants_by_name", "folder", "name"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("state", Text, nullable=False),  # waiting running done failed set-aside canceled
    Column("again", Boolean, nullable=False, default=False),  # asked for anew while running
    Column("priority", Integer, nullable=False, default=0),
    Column("attempts", Integer, nullable=False, default=0),
    Column("crashes", Integer, nullable=False, default=0),
    Column("not_before", Float, nullable=False, default=0.0),
    Column("lane", Text),  # no two jobs of one lane run at a time
    Column("host", Text),
    Column("validator", Text),  # the ETag that a part was fetched under
    Column("trouble", LargeBinary),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Index("jobs_by_key", "kind", "key", unique=True),
    Index("jobs_by_state", "state", "kind", "not_before"),
    Index("jobs_by_lane", "lane"),
)

choices = Table(
    "choices",
    metadata,
    Column("folder", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("candidates", LargeBinary, nullable=False),
    Column("trouble", LargeBinary, nullable=False),
    Column("asked_at", Float, nullable=False),
    Column("answer", LargeBinary),
)

placements = Table(
    "placements",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("folder", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("path", PathColumn, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("source", Text, nullable=False),
    Column("placed_at", Float, nullable=False),
    Index("placements_by_sha256", "sha256"),
)

timers = Table(
    "timers",
    metadata,
    Column("name", Text, primary_key=True),
    Column("last_success", Float, nullable=False),
)
