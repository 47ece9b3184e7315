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
    event,
    literal,
    text,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection, Dialect

REVISION = "0009"
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
    Column("links", Integer),  # how many names the inode has; NULL: nobody looked
    Column("after_sha256", Text),  # of the bytes after a safetensors header; AutoV3 begins it
    Column("autov1", Text),
    Column("blake3", Text),
    Column("sample", Text),  # digest of the first and last 64 KiB: tells a renamed file
    Column("verified_at", Float),  # when all of it was last read and found as noted
    Column("rot", Text),  # the other SHA-256 that a later reading gave under an equal stamp
    Column("racy", Boolean, nullable=False, server_default="0"),  # read too close to its stamp
    Index("models_by_directory", "directory"),
    Index("models_by_base", "base"),
    Index("models_by_stem", "stem"),
    Index("models_by_sha256", "sha256"),
    Index("models_by_after", "after_sha256"),
    Index("models_by_inode", "inode"),
    Index(
        "models_to_measure",
        "size",
        "path",
        sqlite_where=text("whole = 1 AND (sha256 IS NULL OR racy = 1)"),
    ),
)

sweep_marks = Table(
    "sweep_marks",
    metadata,
    Column("directory", PathColumn, primary_key=True),
    Column("digest", LargeBinary, nullable=False),  # of path and stamp of all its rows in models
    Column("beside", LargeBinary, nullable=False),  # names in it without a row, with / between
    Column("files", Integer, nullable=False),  # how many rows, and the last one's rowid: that is
    Column("last_row", Integer, nullable=False),  # higher in whatever row is added later
)

# A mark ends with any row that it was made from, whoever changes or removes it. New rows show by
# their number: a trigger for them makes 100,000 of them take half as long again.
MARKS_OF_GONE = """CREATE TRIGGER sweep_marks_of_gone AFTER DELETE ON models BEGIN
DELETE FROM sweep_marks WHERE directory = OLD.directory; END"""
MARKS_OF_CHANGED = """CREATE TRIGGER sweep_marks_of_changed
AFTER UPDATE OF path, directory, device, inode, size, mtime_ns, ctime_ns ON models
WHEN NEW.path IS NOT OLD.path OR NEW.directory IS NOT OLD.directory
OR NEW.device IS NOT OLD.device OR NEW.inode IS NOT OLD.inode OR NEW.size IS NOT OLD.size
OR NEW.mtime_ns IS NOT OLD.mtime_ns OR NEW.ctime_ns IS NOT OLD.ctime_ns BEGIN
DELETE FROM sweep_marks WHERE directory IN (OLD.directory, NEW.directory); END"""


def _make_triggers(_: MetaData, connection: Connection, **_options: object) -> None:
    connection.exec_driver_sql(MARKS_OF_GONE)
    connection.exec_driver_sql(MARKS_OF_CHANGED)


event.listen(metadata, "after_create", _make_triggers)

claims = Table(
    "claims",
    metadata,
    Column("path", PathColumn, primary_key=True),
    Column("source", Text, primary_key=True),  # which other program says so, one word
    *_stamp_columns(),  # of the model file when the claim was taken in
    Column("sha256", Text),
    Column("after_sha256", Text),
    Column("autov3", Text),
    Column("blake3", Text),
    Column("told_by", PathColumn),  # the cache or side-car that it stands in
    Column("noted_at", Float, nullable=False),
    Index("claims_by_sha256", "sha256"),
    Index("claims_by_autov3", "autov3"),
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
    Column("hints", LargeBinary),  # a sentence for each, for lists
    Column("secrets", Integer),
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

promises = Table(
    "promises",
    metadata,
    Column("workflow", PathColumn, primary_key=True),
    Column("folder", Text, primary_key=True),  # with the name: of which row in wants
    Column("name", Text, primary_key=True),
    Column("digits", Text, primary_key=True),  # lowercase hex, as many as the workflow states
    Index("promises_by_digits", "digits"),
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
    Column("trouble", LargeBinary),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("mark", LargeBinary),  # what a part was fetched under
    Column("folder", Text),  # where a fetched model goes
    Column("turn", Integer, nullable=False, server_default="0"),  # workflows take turns
    Column("mismatches", Integer, nullable=False, server_default="0"),  # other bytes than promised
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
    Column("promised", Boolean, nullable=False, server_default="1"),  # somebody published its hash
    Index("placements_by_sha256", "sha256"),
    Index("placements_unproven", "path", sqlite_where=text("promised = 0")),
)

verified_places = Table(
    "verified_places",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("url", Text, primary_key=True),  # gave exactly these bytes
    Column("folder", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("verified_at", Float, nullable=False),
    Index("verified_by_name", "folder", "name"),
)

timers = Table(
    "timers",
    metadata,
    Column("name", Text, primary_key=True),
    Column("last_success", Float, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("delivery", Text, nullable=False),
    Column("target", Text, nullable=False),  # digest of the receiver's address
    Column("event", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("state", Text, nullable=False),  # waiting dead
    Column("attempts", Integer, nullable=False),
    Column("not_before", Float, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("trouble", LargeBinary),
    Index("deliveries_by_target", "target", "state", "not_before"),
    Index("deliveries_by_state", "state"),
    sqlite_autoincrement=True,  # the numbers put notices in order, also those that are gone
)

told = Table(
    "told",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("state", Text, nullable=False),  # what was told last
    Column("at", Float, nullable=False),
)

# -- node types: which there are, and which pack brings them

packs = Table(
    "packs",
    metadata,
    Column("path", PathColumn, primary_key=True),  # its directory, or its one file
    Column("name", Text, nullable=False),  # as ComfyUI calls the module: the directory's name
    Column("cnr_id", Text),
    Column("repository", Text),  # owner/name, lowercase
    Column("title", Text),
    Column("version", Text),
    Column("enabled", Boolean, nullable=False),
    Column("complete", Boolean, nullable=False),  # no node type of it remained unread
    Column("stamp", Text, nullable=False),  # digest of what its files looked like
    Column("trouble", LargeBinary),
)

pack_types = Table(
    "pack_types",
    metadata,
    Column("pack", PathColumn, primary_key=True),
    Column("type", Text, primary_key=True),
    Column("kind", Text, primary_key=True),  # python, script, or mention: it may be one
    Index("pack_types_by_type", "type"),
)

served_types = Table(
    "served_types",
    metadata,
    Column("type", Text, primary_key=True),
    Column("module", Text, nullable=False),  # where the server says that it is from
)

map_packs = Table(
    "map_packs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("url", Text, nullable=False),
    Column("cnr_id", Text),
    Column("repository", Text),  # owner/name, lowercase
    Column("title", Text),
    Column("pattern", Text),  # of node types that the map does not list
    Index("map_packs_by_cnr_id", "cnr_id"),
    Index("map_packs_by_repository", "repository"),
)

map_types = Table(
    "map_types",
    metadata,
    Column("type", Text, primary_key=True),
    Column("pack", Integer, primary_key=True),
    Column("first", Boolean, nullable=False),  # goes before every other pack with that type
)

node_uses = Table(
    "node_uses",
    metadata,
    Column("workflow", PathColumn, primary_key=True),
    Column("type", Text, primary_key=True),
    Column("cnr_id", Text),
    Column("aux_id", Text),
    Column("core", Boolean, nullable=False),
    Column("active", Boolean, nullable=False),
    Index("node_uses_by_type", "type"),
)

knowledge = Table(
    "knowledge",
    metadata,
    Column("name", Text, primary_key=True),  # packs, server, map
    Column("stamp", Text, nullable=False),  # what it was read from
    Column("detail", LargeBinary, nullable=False),
    Column("noted_at", Float, nullable=False),
)
