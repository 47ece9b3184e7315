"""The server in its thread: bind, answer, stop within a second."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import threading
from collections.abc import Callable
from functools import partial

import uvicorn
from starlette.types import ASGIApp

from comfywatchman.domain.errors import AddressInUse
from comfywatchman.server.feed import Feed
from comfywatchman.server.guard import Tally
from comfywatchman.server.patience import REQUEST_SECONDS, Crowd, PatientProtocol

HTTP_THREAD = "http"
_BACKLOG = 128
_START_SECONDS = 10.0
_STOP_SECONDS = 1.0
_FINISH_SECONDS = 0.4
"""For answers that are under way when we stop."""
_LONGEST_HEADERS = 16 * 1024


class Listener:
    """One HTTP server on one address, in one thread."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str,
        port: int,
        feed: Feed,
        tally: Tally,
        request_seconds: float = REQUEST_SECONDS,
    ) -> None:
        self._host = host
        self._port = port
        crowd = Crowd(tally)
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http=partial(PatientProtocol, crowd=crowd, request_seconds=request_seconds),  # type: ignore[arg-type]  # called like the class it stands for
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=5,
            h11_max_incomplete_event_size=_LONGEST_HEADERS,
        )
        self._server = _Quiet(config, feed)
        self._thread: threading.Thread | None = None

    def start(self) -> tuple[str, int]:
        """Bind and answer; return the address as bound, for a port of 0 as well.

        Raises:
            AddressInUse: somebody else has the address, or we may not have it.
        """
        bound = _bound(self._host, self._port)
        self._thread = threading.Thread(
            target=self._server.run, args=([bound],), name=HTTP_THREAD, daemon=True
        )
        host, port = bound.getsockname()[:2]
        self._thread.start()
        if not self._server.answers.wait(_START_SECONDS):
            bound.close()
            raise AddressInUse(
                f"The HTTP server did not start at {host}:{port}.",
                remedy="Look for an error in the log before this one.",
            )
        return host, port

    def stop(self) -> None:
        """Close the address, end every stream, and wait at most a second for the thread."""
        if self._thread is None:
            return
        self._server.ask_to_stop()
        self._thread.join(_STOP_SECONDS)
        self._thread = None


class _Quiet(uvicorn.Server):
    """A server that sleeps until something happens: uvicorn's own looks ten times a second."""

    def __init__(self, config: uvicorn.Config, feed: Feed) -> None:
        super().__init__(config)
        self.answers = threading.Event()
        self._feed = feed
        self._wake: Callable[[], object] = lambda: None

    async def main_loop(self) -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        self._wake = partial(loop.call_soon_threadsafe, stop.set)
        self._feed.open(loop)
        self.answers.set()
        await stop.wait()

    def ask_to_stop(self) -> None:
        """Called from another thread."""
        self.should_exit = True
        self._wake()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._feed.close()
        loop = asyncio.get_running_loop()
        for bound in sockets or ():
            loop.remove_reader(bound)
        # A server that is closed while it accepts leaks that connection (python/cpython#109564).
        await _turns()
        for server in self.servers:
            server.close()
        for bound in sockets or ():
            bound.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        tasks = list(self.server_state.tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=_FINISH_SECONDS)
        for task in self.server_state.tasks:
            task.cancel()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await _turns()


async def _turns() -> None:
    """Let the loop finish what it began: accepting takes it three turns, closing two."""
    for _ in range(4):
        await asyncio.sleep(0)


def _bound(host: str, port: int) -> socket.socket:
    """Return a socket that listens, so that a taken address is known before any thread starts."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise AddressInUse(
            f"{host} is no address of this machine ({error}).",
            remedy="Set http.listen to an address of this machine, such as 127.0.0.1:8189.",
        ) from error
    family, kind, protocol, _, address = found[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        raise _taken(host, port, error) from error
    return bound


def _taken(host: str, port: int, error: OSError) -> AddressInUse:
    where = f"{host}:{port}"
    if error.errno == errno.EADDRINUSE:
        return AddressInUse(
            f"Another program listens at {where}.",
            remedy="Stop it, or set http.listen to another port.",
        )
    return AddressInUse(
        f"Listening at {where} is refused: {os.strerror(error.errno or 0)}.",
        remedy="Set http.listen to an address of this machine and a port above 1023.",
    )
