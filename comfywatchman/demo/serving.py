"""HTTP/1.1 for the hub of the demo: keep-alive, ranges, and endings that no good server has."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import unquote, urlsplit

_BLOCK = 64 * 1024
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True, slots=True)
class Reply:
    """A short answer."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Exchange:
    """One request and the ways to answer it."""

    def __init__(self, handler: _Handler, server: Server) -> None:
        self._handler = handler
        self._server = server
        self.method: str = handler.command
        self.path: str = urlsplit(handler.path).path
        self.headers: Message = handler.headers
        self.status = 0
        self.sent = 0

    @property
    def decoded(self) -> str:
        """The path as the names of files have it."""
        return unquote(self.path)

    def reply(self, reply: Reply) -> None:
        """Answer in one piece."""
        self._head(reply.status, {"Content-Type": "text/plain"} | dict(reply.headers), reply.body)
        self._body(reply.body)

    def send(
        self,
        content: bytes,
        headers: Mapping[str, str],
        *,
        ranges: bool = True,
        stop_at: int | None = None,
        linger: float = 0.0,
    ) -> None:
        """Answer with *content* or the part of it that was asked for.

        With *stop_at*, an offset in *content*, the connection ends there, after *linger* seconds
        of silence.
        """
        first, last = self._asked(len(content), headers["ETag"]) if ranges else (0, None)
        if first >= len(content) and last is not None:
            self.reply(Reply(416, {"Content-Range": f"bytes */{len(content)}"}))
            return
        end = len(content) if last is None else last + 1
        part = content[first:end]
        more = {"Content-Type": "application/octet-stream"} | dict(headers)
        if ranges:
            more["Accept-Ranges"] = "bytes"
        if last is not None:
            more["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        self._head(200 if last is None else 206, more, part)
        if stop_at is None or stop_at >= end:
            self._body(part)
            return
        self._body(part[: max(stop_at - first, 0)])
        self.wait(linger)
        self.drop()

    def wait(self, seconds: float) -> None:
        """Be silent, but not longer than the server lives."""
        self._server.closing.wait(seconds)

    def drop(self) -> None:
        """End the connection without another byte."""
        self._handler.close_connection = True
        self._handler.wfile.flush()
        self._handler.connection.shutdown(socket.SHUT_RDWR)

    def _asked(self, size: int, etag: str) -> tuple[int, int | None]:
        """Return the first and the last byte to send; ``None`` for the whole file.

        A range that begins behind the end gives its beginning, for the 416.
        """
        found = _RANGE.fullmatch(self.headers.get("Range") or "")
        if found is None or self.headers.get("If-Range", etag) != etag or found[0] == "bytes=-":
            return 0, None
        if not found[1]:
            return max(size - int(found[2]), 0), size - 1
        last = min(int(found[2]), size - 1) if found[2] else size - 1
        return int(found[1]), last

    def _head(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self._handler.send_response(status)
        for name, value in headers.items():
            self._handler.send_header(name, value)
        self._handler.send_header("Content-Length", str(len(body)))
        self._handler.end_headers()

    def _body(self, body: bytes) -> None:
        if self.method == "HEAD":
            return
        throttle = self._server.throttle
        # about twenty steps a second, so that a bar moves and does not jump
        block = _BLOCK if throttle is None else max(min(_BLOCK, throttle // 20), 1)
        for start in range(0, len(body), block):
            step = body[start : start + block]
            self.sent += len(step)  # before it goes: whoever has it finds it counted
            try:
                self._handler.wfile.write(step)
            except OSError:
                self.sent -= len(step)
                raise
            if throttle is not None and self._server.closing.wait(len(step) / throttle):
                return


class Server:
    """A server on a thread of its own, with a thread for each connection."""

    def __init__(
        self, name: str, port: int, answer: Callable[[Exchange], None], throttle: int | None
    ) -> None:
        self.throttle = throttle
        self.closing = threading.Event()
        self._name = name
        handler = type("_Bound", (_Handler,), {"answer": staticmethod(answer), "owner": self})
        self._http = _Http(("127.0.0.1", port), handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    @property
    def host(self) -> str:
        return f"{self._name}:{self._http.server_address[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop listening and end every connection, also one in the middle of an answer."""
        self.closing.set()
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join(5)
        self._http.hang_up()
        self._http.server_close()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._open: set[socket.socket] = set()

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = super().get_request()
        self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        if isinstance(request, socket.socket):
            self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # it was closed by the other side at this moment
                continue

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients hang up, and tests make them."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes
    answer: ClassVar[Callable[[Exchange], None]]
    owner: ClassVar[Server]

    def do_GET(self) -> None:
        type(self).answer(Exchange(self, self.owner))

    def do_HEAD(self) -> None:
        type(self).answer(Exchange(self, self.owner))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has there
        """Say nothing: the hub remembers requests as values."""
