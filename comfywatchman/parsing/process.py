"""The parser's child process, seen from the parent."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

from comfywatchman.parsing.wire import (
    Answer,
    ConnectionEnded,
    Hello,
    Ready,
    Request,
    receive,
    send,
)

_PASSED_ON = ("LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PATH")
"""The environment of the child; tokens stay here."""

_PROGRAM = "from comfywatchman.parsing.child import main; main()"
"""Starts some milliseconds sooner than ``-m`` does."""

_LAST_BREATH_SECONDS = 0.5
"""For a child whose socket is closed to end by itself, so that its exit status can be told."""


class ChildProcess:
    """One child, one file at a time; started by the constructor, which does not wait for it."""

    def __init__(self, hello: Hello) -> None:
        """Start the child.

        Raises:
            OSError: no process can be started.
        """
        self._connection, theirs = socket.socketpair()
        with theirs:
            self._process = started(_PROGRAM, theirs)
        self._greeting: Hello | None = hello

    @property
    def pid(self) -> int:
        return self._process.pid

    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, request: Request, file: int, deadline_seconds: float) -> Answer:
        """Have the child read the open *file*; a child that fails at it is one of the answers."""
        ends = time.monotonic() + deadline_seconds
        try:
            if self._greeting is not None:
                self._connection.settimeout(deadline_seconds)
                send(self._connection, self._greeting)
                receive(self._connection, Ready)
                self._greeting = None
            self._connection.settimeout(max(0.1, ends - time.monotonic()))
            send(self._connection, request, file)
            return receive(self._connection, Answer)
        except TimeoutError:
            return Answer(failure=f"gave no answer within {deadline_seconds:g} seconds")
        except (ConnectionEnded, OSError):
            return Answer(failure=self._end())

    def close(self) -> None:
        """End the child, however it is."""
        self._connection.close()
        if self.alive():
            self._process.kill()
        self._process.wait()

    def _end(self) -> str:
        return ended(self._process)


def started(program: str, theirs: socket.socket, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a child with *theirs* as its side of a pair of sockets; nothing else is handed over.

    Raises:
        OSError: no process can be started.
    """
    return subprocess.Popen(
        [sys.executable, "-I", "-c", program, str(theirs.fileno()), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        cwd="/",
        pass_fds=[theirs.fileno()],
        process_group=0,  # a Ctrl-C at the terminal is for the parent
    )


def ended(process: subprocess.Popen[bytes]) -> str:
    """Say how a child ended that closed its socket."""
    try:
        status = process.wait(_LAST_BREATH_SECONDS)
    except subprocess.TimeoutExpired:
        return "broke off"
    return f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
