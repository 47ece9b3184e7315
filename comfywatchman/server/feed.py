"""Log lines on their way to the clients of ``/api/v1/events``."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator

HEARTBEAT_SECONDS = 15.0
MOST_CLIENTS = 16
MOST_WAITING = 256
"""Lines kept for a client that reads slowly; beyond it the oldest go, and it is told how many."""


class _Client:
    def __init__(self) -> None:
        self.waiting: deque[bytes] = deque()
        self.lost = 0
        self.news = asyncio.Event()


class Feed:
    """Spreads lines to clients. Everything but `publish` runs on the server's own thread."""

    def __init__(self, heartbeat_seconds: float = HEARTBEAT_SECONDS) -> None:
        self._heartbeat_seconds = heartbeat_seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._clients: list[_Client] = []
        self._closed = False

    def publish(self, line: bytes) -> None:
        """Hand *line*, one line of JSON, to every client. From any thread; never waits."""
        loop = self._loop
        if loop is not None and self._clients:
            # The loop may close between the look and the call; then nobody is left to tell.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._spread, line)

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Serve the clients of *loop*; those of a server before this one are forgotten."""
        self._clients = []
        self._closed = False
        self._loop = loop

    def close(self) -> None:
        """End the stream of every client."""
        self._closed = True
        self._loop = None
        for client in self._clients:
            client.news.set()

    def wanted(self) -> bool:
        """Say whether anybody listens. From any thread."""
        return bool(self._clients)

    @property
    def full(self) -> bool:
        return len(self._clients) >= MOST_CLIENTS

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield what a client of server-sent events reads, until it goes or we stop."""
        client = _Client()
        self._clients.append(client)
        try:
            yield b": comfywatchman\n\n"
            while not self._closed:
                yield await self._next(client)
        finally:
            self._clients = [other for other in self._clients if other is not client]

    async def _next(self, client: _Client) -> bytes:
        try:
            async with asyncio.timeout(self._heartbeat_seconds):
                await client.news.wait()
        except TimeoutError:
            return b": still here\n\n"
        client.news.clear()
        taken = b"".join(b"data: " + line + b"\n\n" for line in client.waiting)
        client.waiting.clear()
        lost, client.lost = client.lost, 0
        return (b'event: lost\ndata: {"lines":%d}\n\n' % lost if lost else b"") + taken

    def _spread(self, line: bytes) -> None:
        for client in self._clients:
            if len(client.waiting) >= MOST_WAITING:
                client.waiting.popleft()
                client.lost += 1
            client.waiting.append(line)
            client.news.set()
