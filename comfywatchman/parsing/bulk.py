"""Has a lot read at once, in a process of its own that ends with it: its memory is given back."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

from comfywatchman.comfyui.node_map import MapFiles
from comfywatchman.domain.errors import ParserFailed, Trouble
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
from comfywatchman.parsing.process import ended, started
from comfywatchman.parsing.wire import ConnectionEnded, receive, send

PACK_SECONDS = 15.0
"""Of a processor, for one pack: on a machine that is busy it takes longer."""

_WAIT_SECONDS = 120.0
"""For a pack, whatever holds it up: a disk that does not answer."""

OTHER_SECONDS = 60.0
"""For the map, or for a server's answer."""

_START_SECONDS = 15.0
_PROGRAM = "from comfywatchman.parsing.bulk_child import main; main()"
_MOST_DEATHS = 20
"""After so many packs that ended the process the rest is left unread."""


def read_packs(
    packs: Sequence[tuple[Path, str]], *, seconds: float = PACK_SECONDS
) -> Iterator[PackRead | tuple[Path, Trouble]]:
    """Yield what each pack is; one that ends the process or stalls it is told as a trouble.

    Each of *packs* is where it lies, and the stamp under which it was read last.
    """
    waiting = list(packs)
    for _ in range(_MOST_DEATHS):
        if not waiting:
            return
        asked = ReadPacks(tuple((os.fsencode(path), known) for path, known in waiting), seconds)
        why = "gave no answer"
        try:
            for said in _said(asked, _WAIT_SECONDS):
                if isinstance(said, PackRead):
                    waiting.pop(0)
                    yield said
        except ParserFailed as error:
            why = error.cause
        if waiting:
            yield waiting.pop(0)[0], _unread(why)
    for path, _ in waiting:
        yield path, _unread("Too many packs before it could not be read")


def _unread(why: str) -> Trouble:
    return ParserFailed(
        f"The source of the node pack cannot be read: {why.rstrip('.')}.",
        remedy="Look where the pack comes from. It is read again when it changes.",
    ).trouble()


def read_map(files: MapFiles, only: Sequence[str] | None = None) -> Iterator[MapRow]:
    """Yield the packs of the map; with *only* the types of each that are among these.

    Raises:
        ParserFailed: it cannot be read.
    """
    asked = ReadMap(
        _encoded(files.map),
        _encoded(files.list),
        _encoded(files.registry),
        None if only is None else tuple(only),
    )
    for said in _said(asked, OTHER_SECONDS):
        if isinstance(said, MapRead):
            yield from said.packs


def _encoded(path: Path | None) -> bytes | None:
    return None if path is None else os.fsencode(path)


def read_server(
    object_info: int, folders: dict[str, bytes], extra_loaders: Sequence[str]
) -> Iterator[ServerRead]:
    """Yield what a server's answers say, in parts.

    Args:
        object_info: an open file with the answer to ``/object_info``.
        folders: the answers to ``/models/…``, by folder.
        extra_loaders: the user's own lines of the loader table.

    Raises:
        ParserFailed: the answers are none, or too much to read.
    """
    asked = ReadServer(folders, tuple(extra_loaders))
    for said in _said(asked, OTHER_SECONDS, object_info):
        if isinstance(said, ServerRead):
            yield said


def _said(
    asked: ReadPacks | ReadMap | ReadServer, seconds: float, file: int | None = None
) -> Iterator[PackRead | MapRead | ServerRead]:
    """Yield the words of a process that carries out what is *asked*.

    *seconds* is how long each of them may take to come.

    Raises:
        ParserFailed: it broke off, stalled, or says that it cannot.
    """
    connection, theirs = socket.socketpair()
    with connection:
        with theirs:
            process = started(_PROGRAM, theirs, "none" if file is None else "file")
        try:
            connection.settimeout(_START_SECONDS)
            send(connection, Errand(asked), file)
            while True:
                connection.settimeout(seconds)
                said = receive(connection, Word).said
                if isinstance(said, Done):
                    return
                if isinstance(said, Failed):
                    raise _failed(said.why)
                yield said
        except TimeoutError as error:
            raise _failed(f"It gave no answer within {seconds:.0f} seconds.") from error
        except (ConnectionEnded, OSError) as error:
            raise _failed(f"The process {ended(process)}.") from error
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def _failed(why: str) -> ParserFailed:
    return ParserFailed(why, remedy="It is read again when it changes.")
