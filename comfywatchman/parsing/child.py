"""The process that reads files of strangers: `main`, with the number of its socket as argument.

It has no file but those handed to it, may write nothing, and ends when its parent does. Whatever a
file does to it, the parent only sees that it is gone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys

from comfywatchman.analyze.limits import Limits
from comfywatchman.analyze.loaders import Tables
from comfywatchman.parsing.confining import allow_time, confine
from comfywatchman.parsing.reading import read_answer
from comfywatchman.parsing.tables import shipped_tables
from comfywatchman.parsing.wire import (
    Answer,
    ConnectionEnded,
    Hello,
    Ready,
    Request,
    receive,
    receive_with_file,
    send,
)


def main() -> None:
    # Ctrl-C and the service manager's SIGTERM are for the parent; we end when it closes the socket
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with (
        socket.socket(fileno=int(sys.argv[1])) as connection,
        contextlib.suppress(ConnectionEnded, BrokenPipeError, ConnectionResetError),
    ):
        _serve(connection)


def _serve(connection: socket.socket) -> None:
    hello = receive(connection, Hello)
    tables = shipped_tables(hello.extra_loaders)
    confine(hello.bounds)
    send(connection, Ready())
    failed = False
    while not failed:  # after a failure the memory is in no state to go on with
        request, file = receive_with_file(connection, Request)
        allow_time(hello.bounds.cpu_seconds)
        answer = _answer(file, request.filename, tables, hello.limits)
        send(connection, answer)
        failed = answer.failure is not None


def _answer(file: int, filename: str, tables: Tables, limits: Limits) -> Answer:
    try:
        with os.fdopen(file, "rb") as source:
            return read_answer(source, filename, tables, limits)
    except MemoryError:
        return Answer(failure="ran out of memory")
    except OSError as error:
        return Answer(failure=f"met a disk error: {error.strerror}")
    except Exception as error:  # noqa: BLE001 - the loop of a process that is there to fail for us
        return Answer(failure=f"met a bug of ours: {type(error).__name__}")
