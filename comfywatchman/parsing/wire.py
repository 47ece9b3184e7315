"""What the parser and its child say to each other over their socket.

A message is its length in four bytes and then MessagePack; a request carries the open file with it.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from comfywatchman.analyze.limits import Limits
from comfywatchman.domain.references import WorkflowContent

_T = TypeVar("_T")

_LENGTH = 4
_LONGEST_MESSAGE = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the child may use. Sizes are bytes, times seconds."""

    memory: int = 1024 * 1024 * 1024
    """Address space."""
    cpu_seconds: int = 10
    """For one file."""
    files: int = 16
    """Open at once."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message to the child."""

    limits: Limits
    bounds: Bounds
    extra_loaders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ready:
    """The child's answer to `Hello`: it can take files now."""


@dataclass(frozen=True, slots=True)
class Request:
    filename: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Exactly one of *content* and *failure* is there."""

    content: WorkflowContent | None = None
    sha256: str = ""
    """Lowercase; empty where the file is too large to be read."""
    failure: str | None = None
    """What went wrong in the child itself, in a few words."""


class ConnectionEnded(Exception):
    """The other side is gone."""


def send(connection: socket.socket, message: object, files: tuple[int, ...] = ()) -> None:
    """Send a message, and open files with it.

    Raises:
        OSError: the other side is gone or does not take it in time.
    """
    data = msgspec.msgpack.encode(message)
    framed = len(data).to_bytes(_LENGTH, "big") + data
    sent = socket.send_fds(connection, [framed], list(files)) if files else 0
    connection.sendall(framed[sent:])


def receive(connection: socket.socket, kind: type[_T]) -> tuple[_T, tuple[int, ...]]:
    """Return the next message and the files that came with it.

    Raises:
        ConnectionEnded: the other side is gone, or says something else.
        TimeoutError: it did not answer in the time that the connection allows.
    """
    data, files, _, _ = socket.recv_fds(connection, _LENGTH, 1)
    head = data + _exactly(connection, _LENGTH - len(data)) if data else b""
    if not head:
        raise ConnectionEnded
    length = int.from_bytes(head, "big")
    if length > _LONGEST_MESSAGE:
        raise ConnectionEnded
    try:
        return msgspec.msgpack.decode(_exactly(connection, length), type=kind), tuple(files)
    except msgspec.DecodeError as error:
        raise ConnectionEnded from error


def _exactly(connection: socket.socket, length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        part = connection.recv(min(length - len(parts), 1 << 20))
        if not part:
            raise ConnectionEnded
        parts += part
    return bytes(parts)
