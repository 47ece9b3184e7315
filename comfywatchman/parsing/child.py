"""The process that reads files of strangers: ``python -I -m comfywatchman.parsing.child FD``.

It has no network to use and no file but those handed to it, may write nothing, and ends when its
parent does. Whatever a file does to it, the parent only sees that it is gone.
"""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import socket
import sys
from typing import BinaryIO

from comfywatchman.analyze.formats import read_workflow
from comfywatchman.analyze.limits import Limits
from comfywatchman.analyze.loaders import Tables
from comfywatchman.domain.errors import WorkflowTooLarge
from comfywatchman.domain.references import WorkflowContent
from comfywatchman.parsing.tables import shipped_tables
from comfywatchman.parsing.wire import (
    Answer,
    Bounds,
    ConnectionEnded,
    Hello,
    Ready,
    Request,
    receive,
    send,
)

_BLOCK = 1 << 20


def main() -> None:
    # Ctrl-C and the service manager's SIGTERM are for the parent; we end when it closes the socket
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        try:
            _serve(connection)
        except (ConnectionEnded, BrokenPipeError, ConnectionResetError):
            pass


def _serve(connection: socket.socket) -> None:
    hello, _ = receive(connection, Hello)
    tables = shipped_tables(hello.extra_loaders)
    _confine(hello.bounds)
    send(connection, Ready())
    while True:
        request, files = receive(connection, Request)
        _allow_time(hello.bounds.cpu_seconds)
        with os.fdopen(files[0], "rb") as source:
            answer = _answer(source, request.filename, tables, hello.limits)
        send(connection, answer)
        if answer.failure is not None:  # after that the memory is in no state to go on with
            return


def _confine(bounds: Bounds) -> None:
    for limit, value in (
        (resource.RLIMIT_AS, bounds.memory),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, bounds.files),
    ):
        _, hard = resource.getrlimit(limit)
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        resource.setrlimit(limit, (value, value))


def _allow_time(seconds: int) -> None:
    """Let the kernel end us after so much more processor time: a loop in C hears no alarm."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(
        resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 1 + seconds, hard)
    )


def _answer(source: BinaryIO, filename: str, tables: Tables, limits: Limits) -> Answer:
    try:
        return read_answer(source, filename, tables, limits)
    except MemoryError:
        return Answer(failure="it ran out of memory")
    except OSError as error:
        return Answer(failure=f"the disk failed: {error.strerror}")
    except Exception as error:  # noqa: BLE001 - this is the loop of a process that may die
        return Answer(failure=f"{type(error).__name__} while reading it")


def read_answer(source: BinaryIO, filename: str, tables: Tables, limits: Limits) -> Answer:
    """Return what the file says and the SHA-256 of its bytes."""
    size = source.seek(0, os.SEEK_END)
    if size > limits.max_file_bytes:
        trouble = WorkflowTooLarge(
            f"The file has {size} bytes; we read {limits.max_file_bytes}.",
            remedy="Nothing to do if it is no workflow; otherwise save the workflow as JSON.",
        ).trouble()
        return Answer(WorkflowContent("unknown", "none", trouble=trouble))
    source.seek(0)
    digest = hashlib.sha256()
    while block := source.read(_BLOCK):
        digest.update(block)
    source.seek(0)
    return Answer(read_workflow(source, filename, tables, limits), digest.hexdigest())


if __name__ == "__main__":
    main()
