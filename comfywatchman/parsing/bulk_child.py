"""The process that reads the sources of node packs, Manager's lists and a server's answers.

It carries out one errand and ends. It runs nothing of what it reads; whatever that does to it, the
parent only sees that it is gone.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import socket
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import msgspec

from comfywatchman.analyze.lessons import lessons
from comfywatchman.comfyui.node_map import MapFiles, MapPack, read_map
from comfywatchman.comfyui.packs import identify, stamp
from comfywatchman.comfyui.source.machine import Limits
from comfywatchman.comfyui.source.registered import registered
from comfywatchman.comfyui.source.scripts import scripted
from comfywatchman.domain.packs import TypeKind
from comfywatchman.parsing.bulk_wire import (
    Done,
    Errand,
    Failed,
    MapRead,
    MapRow,
    PackRead,
    ReadMap,
    ReadPacks,
    ReadServer,
    ServerRead,
    Word,
)
from comfywatchman.parsing.confining import allow_time, confine
from comfywatchman.parsing.tables import shipped_tables
from comfywatchman.parsing.wire import Bounds, ConnectionEnded, receive, receive_with_file, send

BOUNDS = Bounds(memory=1536 * 1024 * 1024, cpu_seconds=30, files=64)
_MOST_TYPES = 20_000
"""Of one pack; the largest that we know has 400."""

_AT_ONCE = 500
"""Rows in one message."""

_RECURSION = 2_000
"""Calls in calls of ours; deeper sources are not followed. The parser of Python has its own."""


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.setrecursionlimit(_RECURSION)
    with (
        socket.socket(fileno=int(sys.argv[1])) as connection,
        contextlib.suppress(ConnectionEnded, BrokenPipeError, ConnectionResetError),
    ):
        with_file = sys.argv[2] == "file"
        file = -1
        if with_file:
            errand, file = receive_with_file(connection, Errand)
        else:
            errand = receive(connection, Errand)
        confine(BOUNDS)
        for said in _carried_out(errand, file):
            send(connection, Word(said))


def _carried_out(
    errand: Errand, file: int
) -> Iterator[PackRead | MapRead | ServerRead | Done | Failed]:
    try:
        match errand.what:
            case ReadPacks(packs=packs, seconds=seconds):
                for path, known in packs:
                    allow_time(int(seconds) + 5)
                    yield _pack(Path(os.fsdecode(path)), known, seconds)
            case ReadMap():
                allow_time(BOUNDS.cpu_seconds)
                yield from _map(errand.what)
            case ReadServer():
                allow_time(BOUNDS.cpu_seconds)
                yield from _server(errand.what, file)
        yield Done()
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        yield Failed(str(error)[:300] or type(error).__name__)


# -- packs


def _pack(path: Path, known: str, seconds: float) -> PackRead:
    found = identify(path)
    now = stamp(path)
    read = PackRead(
        os.fsencode(path),
        _sendable(found.name),
        found.enabled,
        _optional(found.cnr_id),
        _optional(found.repository),
        _optional(found.title),
        _optional(found.version),
        now,
    )
    return read if now == known else _with_types(read, path, seconds)


def _with_types(read: PackRead, path: Path, seconds: float) -> PackRead:
    """Add the node types; not for a directory whose name Python cannot be told."""
    root = os.fspath(path)
    source = registered(root, Limits(seconds=seconds))
    kinds = dict.fromkeys(_sendables(source.mentions), TypeKind.MENTION)
    if path.is_dir():
        scripts = scripted(root, source.web)
        kinds |= dict.fromkeys(_sendables(scripts.mentions), TypeKind.MENTION)
        kinds |= dict.fromkeys(_sendables(scripts.types), TypeKind.SCRIPT)
    kinds |= dict.fromkeys(_sendables(source.types), TypeKind.PYTHON)
    types = tuple((name, kind.value) for name, kind in sorted(kinds.items()))
    whole = source.complete and len(types) <= _MOST_TYPES
    return msgspec.structs.replace(read, complete=whole, types=types[:_MOST_TYPES])


def _sendables(names: frozenset[str] | set[str]) -> Iterator[str]:
    return (name for name in names if name == _sendable(name))


def _sendable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _optional(text: str | None) -> str | None:
    return None if text is None else _sendable(text)


# -- the map


def _map(asked: ReadMap) -> Iterator[MapRead]:
    files = MapFiles(*(_path(p) for p in (asked.map, asked.list, asked.registry)))
    only = None if asked.only is None else frozenset(asked.only)
    rows = (_row(pack, only) for pack in read_map(files))
    while batch := tuple(islice(rows, _AT_ONCE)):
        yield MapRead(batch)


def _path(encoded: bytes | None) -> Path | None:
    return None if encoded is None else Path(os.fsdecode(encoded))


def _row(pack: MapPack, only: frozenset[str] | None) -> MapRow:
    def wanted(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(n for n in _sendables(frozenset(names)) if only is None or n in only)

    return MapRow(
        _sendable(pack.url),
        _optional(pack.cnr_id),
        _optional(pack.repository),
        _optional(pack.title),
        _optional(pack.pattern),
        wanted(pack.types),
        wanted(pack.first),
    )


# -- the server


def _server(asked: ReadServer, file: int) -> Iterator[ServerRead]:
    tables = shipped_tables(asked.extra_loaders)
    folders = {
        key: msgspec.json.decode(body, type=list[object]) for key, body in asked.folders.items()
    }
    with os.fdopen(file, "rb") as source, mmap.mmap(file, 0, access=mmap.ACCESS_READ) as data:
        del source
        found = lessons(bytes(data), folders, lambda kind: tables.rules_of(kind) is not None)
        while batch := tuple(islice(found, _AT_ONCE)):
            yield ServerRead(
                tuple((_sendable(s.type), _sendable(s.module)) for s, _ in batch),
                tuple(_sendable(line) for _, lines in batch for line in lines),
            )
