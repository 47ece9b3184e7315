"""What the parser and its child say to each other over their socket.

A message is its length in four bytes and then MessagePack; a request carries the open file with it.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from comfywatchman.analyze.limits import Limits
from comfywatchman.disk.decoding import decoder_of
from comfywatchman.domain.references import WorkflowContent

_T = TypeVar("_T")

_LENGTH = 4
_LONGEST_MESSAGE = 64 * 1024 * 1024
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the child may use. Sizes are bytes, times seconds."""

    memory: int = 768 * 1024 * 1024
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
    """Read the file that comes with this message."""

    filename: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Exactly one of *content* and *failure* is there."""

    content: WorkflowContent | None = None
    sha256: str = ""
    """Lowercase; empty where the file is too large to be read."""
    failure: str | None = None
    """What the child did instead: the rest of a sentence that begins with "It"."""


class ConnectionEnded(Exception):
    """The other side is gone, or says something that it never says."""


def send(connection: socket.socket, message: object, file: int | None = None) -> None:
    """Send a message, and an open file with it.

    Raises:
        OSError: the other side is gone, or does not take it in the time the connection allows.
    """
    data = msgspec.msgpack.encode(message)
    framed = len(data).to_bytes(_LENGTH, "big") + data
    sent = 0 if file is None else socket.send_fds(connection, [framed], [file])
    connection.sendall(framed[sent:])


def receive(connection: socket.socket, kind: type[_T]) -> _T:
    """Return the next message.

    Raises:
        ConnectionEnded: there is none.
        TimeoutError: none came in the time that the connection allows.
    """
    return _message(connection, _exactly(connection, _LENGTH), kind)


def receive_with_file(connection: socket.socket, kind: type[_T]) -> tuple[_T, int]:
    """Return the next message and the file that comes with it, which is the caller's to close.

    Raises:
        ConnectionEnded: there is none, or no file with it.
        TimeoutError: none came in the time that the connection allows.
    """
    start, files, _, _ = socket.recv_fds(connection, _LENGTH, 1)
    if len(files) != 1:
        raise ConnectionEnded
    length = start + _exactly(connection, _LENGTH - len(start))
    return _message(connection, length, kind), files[0]


def _message(connection: socket.socket, length: bytes, kind: type[_T]) -> _T:
    size = int.from_bytes(length, "big")
    if size > _LONGEST_MESSAGE:
        raise ConnectionEnded
    try:
        decoder_of(kind)  # what is known about a class is put together by one thread at a time
        return msgspec.msgpack.decode(_exactly(connection, size), type=kind)
    except msgspec.DecodeError as error:
        raise ConnectionEnded from error


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = connection.recv(min(size - len(data), _BLOCK))
        if not part:
            raise ConnectionEnded
        data += part
    return bytes(data)
