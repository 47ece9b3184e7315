"""An end to everything that is asked of one server: time-outs alone forgive a trickle of bytes."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self


class Deadline:
    """Hangs up every connection it was told of when the time is over.

    What is read then ends as if the other side had hung up.
    """

    def __init__(self, seconds: float) -> None:
        self._connections: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._hang_up)
        self._timer.name = "deadline"
        self._timer.daemon = True
        self.passed = False

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        self._timer.join()
        for connection in self._connections:
            connection.close()

    def watch(self, connection: socket.socket) -> None:
        """Take in a connection; a plain copy, since TLS takes over the first one."""
        self._connections.append(
            socket.fromfd(connection.fileno(), connection.family, connection.type)
        )
        if self.passed:
            self._hang_up()

    def _hang_up(self) -> None:
        self.passed = True
        for connection in list(self._connections):
            with contextlib.suppress(OSError):  # the other side was quicker
                connection.shutdown(socket.SHUT_RDWR)
