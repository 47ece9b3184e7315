"""Rows about node types: packs on disk, the server's types, the node map, and who uses which."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, delete, func, select, text
from sqlalchemy.dialects.sqlite import insert

from comfywatchman.domain.packs import Claim, InstalledPack, Pack, Told, TypeKind
from comfywatchman.domain.references import NodeTypeUse
from comfywatchman.state import rows_of
from comfywatchman.state.coding import dumps, loads, natural_key, trouble_bytes, trouble_from
from comfywatchman.state.schema import (
    knowledge,
    map_packs,
    map_types,
    metadata,
    node_uses,
    pack_types,
    packs,
    served_types,
)

T = TypeVar("T")

PACKS, SERVER, MAP = "packs", "server", "map"
"""What is known, by name."""

_AT_ONCE = 400
"""Values in one statement; SQLite allows some thousands."""


@dataclass(frozen=True, slots=True)
class Knowledge:
    """From what something is known, and since when."""

    stamp: str
    detail: dict[str, str]
    noted_at: float


def known(connection: Connection, name: str) -> Knowledge | None:
    row = connection.execute(select(knowledge).where(knowledge.c.name == name)).one_or_none()
    if row is None:
        return None
    return Knowledge(row.stamp, loads(row.detail, dict[str, str]), row.noted_at)


def note_known(
    connection: Connection, name: str, stamp: str, detail: dict[str, str], now: float
) -> None:
    values = {"stamp": stamp, "detail": dumps(detail), "noted_at": now}
    statement = insert(knowledge).values(name=name, **values)
    connection.execute(
        statement.on_conflict_do_update(index_elements=[knowledge.c.name], set_=values)
    )


def shrink(connection: Connection) -> None:
    """Let go of the pages that much writing has left in the connection's cache."""
    connection.execute(text("PRAGMA shrink_memory"))


# -- packs on disk


def note_pack(
    connection: Connection,
    pack: InstalledPack,
    stamp: str,
    types: Sequence[tuple[str, TypeKind]] | None,
) -> None:
    """Store a pack; without *types* those that are known of it stay."""
    values = {
        "path": pack.path,
        "name": natural_key(pack.name),
        "cnr_id": pack.cnr_id,
        "repository": pack.repository,
        "title": pack.title,
        "version": pack.version,
        "enabled": pack.enabled,
        "complete": pack.complete,
        "stamp": stamp,
        "trouble": trouble_bytes(pack.trouble),
    }
    kept = {"path"} if types is not None else {"path", "complete"}
    connection.execute(
        insert(packs)
        .values(values)
        .on_conflict_do_update(
            index_elements=[packs.c.path],
            set_={name: value for name, value in values.items() if name not in kept},
        )
    )
    if types is None:
        return
    connection.execute(delete(pack_types).where(pack_types.c.pack == pack.path))
    rows = [{"pack": pack.path, "type": name, "kind": kind.value} for name, kind in types]
    if rows:
        connection.execute(insert(pack_types).on_conflict_do_nothing(), rows)


def keep_packs(connection: Connection, paths: Collection[Path]) -> None:
    """Forget every pack that is not among *paths*."""
    for path in set(connection.execute(select(packs.c.path)).scalars()) - set(paths):
        connection.execute(delete(packs).where(packs.c.path == path))
        connection.execute(delete(pack_types).where(pack_types.c.pack == path))


def pack_stamps(connection: Connection) -> dict[Path, str]:
    """Return under which stamp each pack was read last."""
    return {row.path: row.stamp for row in connection.execute(select(packs.c.path, packs.c.stamp))}


def installed(connection: Connection) -> list[InstalledPack]:
    return [
        InstalledPack(
            row.path,
            row.name,
            row.enabled,
            row.cnr_id,
            row.repository,
            row.title,
            row.version,
            row.complete,
            trouble_from(row.trouble),
        )
        for row in connection.execute(select(packs).order_by(packs.c.path))
    ]


def having(connection: Connection, node_type: str) -> list[tuple[Path, TypeKind]]:
    """Return the packs that have a node type, and how."""
    rows = connection.execute(
        select(pack_types.c.pack, pack_types.c.kind).where(
            pack_types.c.type == natural_key(node_type)
        )
    )
    return [(row.pack, TypeKind(row.kind)) for row in rows]


def type_count(connection: Connection) -> int:
    """Return how many node types the packs on disk register."""
    question = select(func.count()).where(pack_types.c.kind != TypeKind.MENTION.value)
    return int(connection.execute(question).scalar_one())


# -- the server


def replace_served(connection: Connection, types: Iterable[tuple[str, str]]) -> None:
    """Store (type, module) of all that the server offers, in place of what it offered."""
    connection.execute(delete(served_types))
    for batch in _batches(types):
        rows = [{"type": name, "module": module} for name, module in batch]
        connection.execute(insert(served_types).on_conflict_do_nothing(), rows)


def module(connection: Connection, node_type: str) -> str | None:
    question = select(served_types.c.module).where(served_types.c.type == natural_key(node_type))
    found: str | None = connection.execute(question).scalar_one_or_none()
    return found


# -- the node map


@dataclass(frozen=True, slots=True)
class MapEntry:
    """A pack of the node map."""

    url: str
    cnr_id: str | None
    repository: str | None
    title: str | None
    pattern: str | None
    types: tuple[str, ...]
    first: tuple[str, ...]


def last_map_pack(connection: Connection) -> int:
    """Return the highest number of a pack; those of a map that is read now are higher."""
    return connection.execute(select(func.max(map_packs.c.id))).scalar_one() or 0


def add_map_packs(connection: Connection, entries: Iterable[MapEntry]) -> None:
    known: list[dict[str, object]] = []
    types: list[dict[str, object]] = []
    for number, entry in enumerate(entries, last_map_pack(connection) + 1):
        known.append(
            {
                "id": number,
                "url": entry.url,
                "cnr_id": entry.cnr_id,
                "repository": entry.repository,
                "title": entry.title,
                "pattern": entry.pattern,
            }
        )
        first = set(entry.first)
        types += [
            {"type": name, "pack": number, "first": name in first}
            for name in dict.fromkeys((*entry.types, *entry.first))
        ]
    for table, rows in ((map_packs, known), (map_types, types)):
        if rows:
            connection.execute(insert(table), rows)


def forget_map(connection: Connection, *, until: int | None = None, after: int = 0) -> None:
    """Forget the packs numbered above *after*, and up to *until* where that is given."""
    for column in (map_packs.c.id, map_types.c.pack):
        statement = delete(column.table).where(column > after)
        connection.execute(statement if until is None else statement.where(column <= until))


def claims(connection: Connection, node_type: str) -> list[Claim]:
    """Return who lists a node type: those that go before all others alone, where there are any."""
    rows = connection.execute(
        select(map_packs, map_types.c.first)
        .join(map_types, map_types.c.pack == map_packs.c.id)
        .where(map_types.c.type == natural_key(node_type))
        .order_by(map_packs.c.id)
    ).all()
    first = [row for row in rows if row.first]
    told = Told.FIRST if first else Told.NAME
    return list(dict.fromkeys(_claim(row, told) for row in first or rows))


def patterns(connection: Connection) -> list[tuple[str, Claim]]:
    rows = connection.execute(select(map_packs).where(map_packs.c.pattern.isnot(None)))
    return [(row.pattern, _claim(row, Told.PATTERN)) for row in rows]


def pack_called(connection: Connection, cnr_id: str | None, repository: str | None) -> Pack | None:
    """Return the pack of the map with this id, or else of this repository."""
    for column, wanted in ((map_packs.c.cnr_id, cnr_id), (map_packs.c.repository, repository)):
        if wanted:
            question = select(map_packs).where(column == natural_key(wanted.lower())).limit(1)
            row = connection.execute(question).first()
            if row is not None:
                return _claim(row, Told.NAME).pack
    return None


def _claim(row, told: Told) -> Claim:  # type: ignore[no-untyped-def]  # SQLAlchemy's Row has no static columns
    named = "/".join(row.url.rstrip("/").removesuffix(".git").split("/")[-2:])
    pack = Pack(row.cnr_id or (named if row.repository else row.url), row.title, row.url)
    return Claim(pack, row.cnr_id, row.repository, told)


# -- workflows


def note_uses(connection: Connection, workflow: Path, uses: Iterable[NodeTypeUse]) -> None:
    """Store which node types a workflow uses, in place of what was known."""
    rows = (
        {
            "type": natural_key(use.type),
            "cnr_id": None if use.cnr_id is None else natural_key(use.cnr_id),
            "aux_id": None if use.aux_id is None else natural_key(use.aux_id),
            "core": use.core,
            "active": use.active,
        }
        for use in uses
    )
    rows_of.replace(connection, node_uses, workflow, rows)


def forget_uses(connection: Connection, workflow: Path) -> None:
    connection.execute(delete(node_uses).where(node_uses.c.workflow == workflow))


def using(connection: Connection, types: Iterable[str]) -> list[Path]:
    """Return the workflows that use one of these node types, by path."""
    found: set[Path] = set()
    for batch in _batches(types):
        question = select(node_uses.c.workflow).where(node_uses.c.type.in_(batch)).distinct()
        found.update(connection.execute(question).scalars())
    return sorted(found)


def used(connection: Connection) -> Iterator[tuple[Path, NodeTypeUse]]:
    """Yield each use of a node type that does not come with ComfyUI, by active nodes."""
    question = (
        select(node_uses)
        .where(node_uses.c.core.is_(False), node_uses.c.active.is_(True))
        .order_by(node_uses.c.workflow, node_uses.c.type)
    )
    for row in connection.execute(question):
        yield row.workflow, NodeTypeUse(row.type, 1, row.cnr_id, row.aux_id)


def _batches(values: Iterable[T]) -> Iterator[list[T]]:
    batch: list[T] = []
    for value in values:
        batch.append(value)
        if len(batch) == _AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


# -- from one database to another


def everything_but_the_map(connection: Connection) -> list[tuple[str, list[dict[str, object]]]]:
    """Return the rows about packs and the server, by table."""
    questions = {
        packs.name: select(packs),
        pack_types.name: select(pack_types),
        served_types.name: select(served_types),
        knowledge.name: select(knowledge).where(knowledge.c.name == SERVER),
    }
    return [
        (name, [dict(row) for row in connection.execute(question).mappings()])
        for name, question in questions.items()
    ]


def restore(connection: Connection, kept: Iterable[tuple[str, list[dict[str, object]]]]) -> None:
    """Store rows of another database in an empty one."""
    for name, found in kept:
        if found:
            connection.execute(insert(metadata.tables[name]), found)
