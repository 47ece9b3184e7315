"""What is asked of the process that reads a lot at once, and what it says.

Paths travel as the bytes that they are.
"""

from __future__ import annotations

import msgspec


class ReadPacks(msgspec.Struct, tag=True, frozen=True):
    """Read the sources of node packs."""

    packs: tuple[tuple[bytes, str], ...]
    """Where each lies, and the stamp under which it was read last."""
    seconds: float
    """Of the processor, for each pack."""


class ReadMap(msgspec.Struct, tag=True, frozen=True):
    """Read ComfyUI-Manager's lists."""

    map: bytes | None
    list: bytes | None
    registry: bytes | None
    only: tuple[str, ...] | None = None
    """Node types that somebody asks about; ``None``: all."""


class ReadServer(msgspec.Struct, tag=True, frozen=True):
    """Read what a server answered; the answer to ``/object_info`` comes as an open file."""

    folders: dict[str, bytes]
    """The answers to ``/models/…``."""
    extra_loaders: tuple[str, ...]
    """Lines of the loader table besides the shipped ones, of which none are to be learned."""


class Errand(msgspec.Struct, frozen=True):
    what: ReadPacks | ReadMap | ReadServer


class PackRead(msgspec.Struct, tag=True, frozen=True):
    """One pack; without *types* where it has not changed."""

    path: bytes
    name: str
    enabled: bool
    cnr_id: str | None
    repository: str | None
    title: str | None
    version: str | None
    stamp: str
    complete: bool = True
    types: tuple[tuple[str, str], ...] | None = None
    """(type, kind) of each."""


class MapRead(msgspec.Struct, tag=True, frozen=True):
    """Some packs of the map."""

    packs: tuple[MapRow, ...]


class MapRow(msgspec.Struct, frozen=True):
    url: str
    cnr_id: str | None
    repository: str | None
    title: str | None
    pattern: str | None
    types: tuple[str, ...]
    first: tuple[str, ...]


class ServerRead(msgspec.Struct, tag=True, frozen=True):
    """Some node types of the server."""

    types: tuple[tuple[str, str], ...]
    """(type, module)."""
    lines: tuple[str, ...]
    """Of the loader table."""


class Done(msgspec.Struct, tag=True, frozen=True):
    """That was all."""


class Failed(msgspec.Struct, tag=True, frozen=True):
    """It cannot be read."""

    why: str


class Word(msgspec.Struct, frozen=True):
    said: PackRead | MapRead | ServerRead | Done | Failed
