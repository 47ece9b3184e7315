"""What is known about node types: asked at the time of a report, brought up to date before."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from comfywatchman.comfyui.node_map import MapFiles
from comfywatchman.comfyui.packs import face, is_enabled, list_packs, stamp
from comfywatchman.comfyui.standing import OF_PACKS, Known, standing
from comfywatchman.domain.errors import Interrupted, ParserFailed, Trouble
from comfywatchman.domain.messages import ErrorMet, Event
from comfywatchman.domain.packs import (
    Claim,
    InstalledPack,
    NodeTypeState,
    Pack,
    Standing,
    TypeKind,
)
from comfywatchman.domain.references import NodeTypeUse
from comfywatchman.parsing.bulk import read_map, read_packs, read_server
from comfywatchman.parsing.bulk_wire import MapRow, PackRead
from comfywatchman.state import node_types as rows
from comfywatchman.state.node_types import MAP, PACKS, SERVER, MapEntry

if TYPE_CHECKING:
    from comfywatchman.state.keeper import Connection, Keeper, Reader

_LOOKED = "looked"
_STAMP = "stamp of "
_LONGEST_PATTERN = 200
_PACKS_AT_ONCE = 200


# -- asking


@dataclass
class StoredTypes:
    """Answers for reports from the database; implements `NodeTypes` and `Facts`.

    For one report: what was asked once is not asked again.
    """

    connection: Connection
    serving: bool = False
    """Whether the server runs now, and has told its node types since it came up."""
    _having: dict[str, Sequence[tuple[Path, TypeKind]]] = field(default_factory=dict)
    _claims: dict[str, Sequence[Claim]] = field(default_factory=dict)
    _standings: dict[tuple[str, str | None, str | None, bool], Standing] = field(
        default_factory=dict
    )

    def standing(self, use: NodeTypeUse) -> Standing:
        key = (use.type, use.cnr_id, use.aux_id, use.core)
        if key not in self._standings:
            self._standings[key] = standing(use, self)
        return self._standings[key]

    @cached_property
    def known(self) -> Known:
        packs = rows.known(self.connection, PACKS)
        server = rows.known(self.connection, SERVER)
        return Known(
            tuple(self._packs({} if server is None else server.detail)),
            looked=packs is not None and packs.detail.get(_LOOKED) == "yes",
            served=server is not None,
            serving=self.serving and server is not None,
        )

    def _packs(self, told: dict[str, str]) -> Iterator[InstalledPack]:
        """Yield the packs; one is complete too if a server named its types since it changed."""
        stamps = rows.pack_stamps(self.connection)
        for pack in rows.installed(self.connection):
            listed = told.get(f"{_STAMP}{pack.name}") == stamps.get(pack.path)
            yield replace(pack, complete=True) if listed else pack

    def module(self, node_type: str) -> str | None:
        return rows.module(self.connection, node_type)

    def having(self, node_type: str) -> Sequence[tuple[Path, TypeKind]]:
        if node_type not in self._having:
            self._having[node_type] = rows.having(self.connection, node_type)
        return self._having[node_type]

    def claims(self, node_type: str) -> Sequence[Claim]:
        if node_type not in self._claims:
            listed = rows.claims(self.connection, node_type)
            self._claims[node_type] = listed or self._fitting(node_type)
        return self._claims[node_type]

    def _fitting(self, node_type: str) -> Sequence[Claim]:
        found = [claim for pattern, claim in self._patterns if pattern.search(node_type)]
        return tuple(dict.fromkeys(found))

    @cached_property
    def _patterns(self) -> Sequence[tuple[re.Pattern[str], Claim]]:
        found = []
        for text, claim in rows.patterns(self.connection):
            pattern = _compiled(text)
            if pattern is not None:
                found.append((pattern, claim))
        return found

    def pack_called(self, cnr_id: str | None, repository: str | None) -> Pack | None:
        return rows.pack_called(self.connection, cnr_id, repository)


def _compiled(text: str) -> re.Pattern[str] | None:
    """Return a pattern of the map; ``None`` for one that is none, or could take very long."""
    if len(text) > _LONGEST_PATTERN or _SLOW.search(text):
        return None
    try:
        return re.compile(text)
    except (re.error, RecursionError, OverflowError):
        return None


_SLOW = re.compile(r"[*+}]\)?[*+{]|\)[*+{]|\*.*\*.*\*")
"""Something repeated that repeats itself, or too many repetitions in a row."""


def missing_nodes(connection: Connection, serving: bool) -> dict[Path, tuple[str, ...]]:
    """Return, for each workflow, the node types it lacks, each with its pack where it is known."""
    types = StoredTypes(connection, serving)
    found: dict[Path, list[str]] = {}
    for workflow, use in rows.used(connection):
        told = types.standing(use)
        if told.state is NodeTypeState.MISSING:
            pack = f" ({told.pack.id})" if told.pack is not None else ""
            found.setdefault(workflow, []).append(use.type + pack)
    return {path: tuple(names) for path, names in found.items()}


# -- bringing up to date


@dataclass(frozen=True, slots=True)
class Bookkeeping:
    """Keeps the rows about node types true; for one thread at a time."""

    keeper: Keeper
    reader: Reader
    tell: Callable[[Event], None] = lambda _event: None
    stopping: Callable[[], bool] = lambda: False

    def has_packs(self) -> bool:
        """Return whether all packs were looked at before."""
        return self.reader.read(lambda c: rows.known(c, PACKS)) is not None

    def packs(self, directories: Sequence[Path], *, has_code: bool, whole: bool = False) -> bool:
        """Look which packs there are, and read those that changed; return whether any did.

        *has_code* says whether ComfyUI itself lies there, so that packs would be here if there
        were any. Without *whole* an edit deep inside a pack may be overlooked.

        Raises:
            Interrupted: we are stopping; the rest is read next time.
        """
        listing = list_packs(directories)
        seen = face(listing.packs)
        before = self.reader.read(lambda c: rows.known(c, PACKS))
        looked = not listing.unreadable and (
            has_code or any(directory.is_dir() for directory in directories)
        )
        detail = {_LOOKED: "yes" if looked else "no"}
        if not whole and before is not None and (before.stamp, before.detail) == (seen, detail):
            return False
        changed = self._read_packs(listing.packs)
        self.keeper.write(lambda c: rows.keep_packs(c, listing.packs))
        self.keeper.write(rows.shrink)
        self.keeper.write(lambda c: rows.note_known(c, PACKS, seen, detail, time.time()))
        return changed or before is None or before.detail != detail or before.stamp != seen

    def _read_packs(self, paths: Sequence[Path]) -> bool:
        known = self.reader.read(rows.pack_stamps)
        changed = False
        for found in read_packs([(path, known.get(path, "")) for path in paths]):
            if self.stopping():
                raise Interrupted("We are stopping.", remedy="Nothing to do.")
            if isinstance(found, PackRead):
                changed = self._note_pack(found, known) or changed
            else:
                changed = True
                self._note_unread(*found)
        return changed

    def _note_pack(self, read: PackRead, known: dict[Path, str]) -> bool:
        pack = _installed(read)
        types = None if read.types is None else [(n, TypeKind(kind)) for n, kind in read.types]
        if types is not None or known.get(pack.path) != read.stamp:
            self.keeper.write(lambda c: rows.note_pack(c, pack, read.stamp, types))
            return True
        return False

    def _note_unread(self, path: Path, trouble: Trouble) -> None:
        pack = InstalledPack(path, path.name, is_enabled(path), complete=False, trouble=trouble)
        seen = stamp(path)  # so that it is read again when it has changed
        self.keeper.write(lambda c: rows.note_pack(c, pack, seen, []))
        self.tell(ErrorMet(trouble, path))

    def node_map(self, files: MapFiles, only: Sequence[str] | None = None) -> bool:
        """Read the map if it is another one than before; return whether it was.

        With *only* no more than what these node types need is kept: for a database that ends with
        the process.

        Raises:
            ParserFailed: it cannot be read; what was known stays.
        """
        before = self.reader.read(lambda c: rows.known(c, MAP))
        looks = files.stamp
        if (before.stamp if before is not None else "") == looks:
            return False
        last = int(before.detail.get("last", "0")) if before is not None else 0
        self.keeper.write(lambda c: rows.forget_map(c, after=last))  # of a reading that broke off
        try:
            self._add_map(files, only)
        except ParserFailed as error:
            self.keeper.write(lambda c: rows.forget_map(c, after=last))
            self.tell(ErrorMet(error.trouble(), files.map or files.list))
            # It is not read again before it changes.
            self.keeper.write(
                lambda c: rows.note_known(c, MAP, looks, {"last": str(last)}, time.time())
            )
            return False
        self.keeper.write(lambda c: _turn_over(c, last, looks))
        self.keeper.write(rows.shrink)
        return True

    def _add_map(self, files: MapFiles, only: Sequence[str] | None) -> None:
        entries = (_entry(row) for row in (read_map(files, only) if files.stamp else ()))
        while batch := list(islice(entries, _PACKS_AT_ONCE)):
            self.keeper.write(lambda c, b=batch: rows.add_map_packs(c, b))  # type: ignore[misc]  # bound at once

    def served(
        self,
        object_info: BinaryIO,
        folders: dict[str, bytes],
        version: str,
        extra_loaders: Sequence[str],
    ) -> list[str]:
        """Take in what a server answered; return the loader lines that it proves.

        Raises:
            ParserFailed: the answers cannot be read; what was known stays.
        """
        types: list[tuple[str, str]] = []
        lines: list[str] = []
        for part in read_server(object_info.fileno(), folders, extra_loaders):
            types += part.types
            lines += part.lines
        self.keeper.write(lambda c: _note_served(c, types, version))
        return lines


def _note_served(connection: Connection, types: list[tuple[str, str]], version: str) -> None:
    rows.replace_served(connection, types)
    named = {module.removeprefix(OF_PACKS) for _, module in types if module.startswith(OF_PACKS)}
    stamps = rows.pack_stamps(connection)
    detail = {
        f"{_STAMP}{pack.name}": stamps[pack.path]
        for pack in rows.installed(connection)
        if pack.name in named and pack.enabled
    }
    rows.note_known(connection, SERVER, version, detail, time.time())


def _turn_over(connection: Connection, last: int, looks: str) -> None:
    rows.forget_map(connection, until=last)
    now_last = rows.last_map_pack(connection)
    rows.note_known(connection, MAP, looks, {"last": str(now_last)}, time.time())


def _installed(read: PackRead) -> InstalledPack:
    return InstalledPack(
        Path(os.fsdecode(read.path)),
        read.name,
        read.enabled,
        read.cnr_id,
        read.repository,
        read.title,
        read.version,
        read.complete,
    )


def _entry(row: MapRow) -> MapEntry:
    return MapEntry(
        row.url, row.cnr_id, row.repository, row.title, row.pattern, row.types, row.first
    )
