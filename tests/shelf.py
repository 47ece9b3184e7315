"""A web server of our own, on 127.0.0.1, that can also misbehave."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Fault:
    """What goes wrong with one path. All that is left out goes right."""

    times: int | None = 1
    """How many requests it spoils; ``None`` for all."""
    only_ranges: bool = False
    """It spoils only requests for a range with an end."""
    cut_after: int | None = None
    """Bytes of the body after which the connection drops."""
    stall_after: int | None = None
    """Bytes of the body after which nothing more comes."""
    length_off_by: int = 0
    """Added to the Content-Length."""
    no_length: bool = False
    """Chunked, without a Content-Length."""
    until_close: bool = False
    """Neither chunked nor a Content-Length: the body ends with the connection."""
    no_range: bool = False
    no_inner_range: bool = False
    """Only what reaches to the end is given, whatever the head says."""
    ignore_if_range: bool = False
    range_off_by: int = 0
    """Added to the first byte of the Content-Range."""
    corrupt_at: int | None = None
    """One byte of the body is another one."""
    page: bytes | None = None
    """An HTML page with status 200."""
    redirect_to: str | None = None
    status: int | None = None
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    slow: float = 0.0
    """Seconds between blocks of 64 KiB."""


@dataclass
class Book:
    data: bytes
    etag: str | None
    kind: str


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    """Names in lowercase."""


class Shelf:
    """Files in memory under paths, and what was asked for them."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.books: dict[str, Book] = {}
        self.faults: dict[str, list[Fault]] = {}
        self.asked: list[Asked] = []
        self.closing = threading.Event()
        shelf = self

        class Handler(_Handler):
            pass

        Handler.shelf = shelf
        self._server = _Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self.host = f"{host}:{self.port}"
        self.url = f"http://{self.host}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )

    def put(
        self,
        path: str,
        data: bytes,
        *,
        etag: str | None = "",
        kind: str = "application/octet-stream",
    ) -> str:
        """Store *data* and return its URL; the ETag is made from the bytes unless given."""
        made = f'"{hashlib.md5(data).hexdigest()}"' if etag == "" else etag
        self.books[path] = Book(data, made, kind)
        return self.url + path

    def spoil(self, path: str, fault: Fault) -> None:
        self.faults.setdefault(path, []).append(fault)

    def fault_for(self, path: str, ranged: str = "") -> Fault:
        for fault in self.faults.get(path, []):
            if fault.only_ranges and not re.fullmatch(r"bytes=\d+-\d+", ranged):
                continue
            if fault.times is None:
                return fault
            if fault.times > 0:
                fault.times -= 1
                return fault
        return Fault()

    def __enter__(self) -> Shelf:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    shelf: Shelf
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        """Silence."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.shelf.asked.append(Asked(self.command, self.path, headers))
        fault = self.shelf.fault_for(path, headers.get("range", ""))
        book = self.shelf.books.get(path)
        if fault.redirect_to is not None:
            self._short(fault.status or 302, b"", fault.headers | {"Location": fault.redirect_to})
        elif fault.status is not None:
            self._short(fault.status, fault.body, fault.headers)
        elif fault.page is not None:
            self._short(200, fault.page, {"Content-Type": "text/html; charset=utf-8"})
        elif book is None:
            self._short(404, b"no such file", {"Content-Type": "text/plain"})
        else:
            self._send(book, fault, headers)

    def _short(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send(self, book: Book, fault: Fault, headers: dict[str, str]) -> None:
        span = self._span(book, fault, headers)
        begin = None if span is None else span[0]
        size = len(book.data)
        if begin is not None and begin >= size:
            self._short(416, b"", {"Content-Range": f"bytes */{size}"})
            return
        end = size if span is None else min(span[1], size)
        body = bytearray(book.data[begin or 0 : end])
        if fault.corrupt_at is not None and fault.corrupt_at >= (begin or 0):
            body[fault.corrupt_at - (begin or 0)] ^= 0xFF
        self.send_response(200 if begin is None else 206)
        if begin is not None:
            first = begin + fault.range_off_by
            self.send_header("Content-Range", f"bytes {first}-{end - 1}/{size}")
        elif not fault.no_range:
            self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Type", book.kind)
        if book.etag is not None:
            self.send_header("ETag", book.etag)
        for name, value in fault.headers.items():
            self.send_header(name, value)
        if fault.no_length:
            self.send_header("Transfer-Encoding", "chunked")
        elif fault.until_close:
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(body) + fault.length_off_by))
        self.end_headers()
        if self.command != "HEAD":
            self._body(bytes(body), fault)

    def _span(self, book: Book, fault: Fault, headers: dict[str, str]) -> tuple[int, int] | None:
        """Return the first byte that is asked for and the one after the last."""
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("range", ""))
        if found is None or fault.no_range or (found[2] and fault.no_inner_range):
            return None
        condition = headers.get("if-range")
        if condition is not None and condition != book.etag and not fault.ignore_if_range:
            return None
        return int(found[1]), int(found[2]) + 1 if found[2] else len(book.data)

    def _body(self, body: bytes, fault: Fault) -> None:
        stops = [n for n in (fault.cut_after, fault.stall_after) if n is not None]
        sent = body[: min(stops, default=len(body))]
        for at in range(0, len(sent), 64 << 10):
            block = sent[at : at + (64 << 10)]
            if fault.no_length:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(block), block))
            else:
                self.wfile.write(block)
            if fault.slow:
                time.sleep(fault.slow)
        if fault.stall_after is not None:
            self.wfile.flush()
            self.shelf.closing.wait(60)
        if stops:
            self.close_connection = True
        elif fault.no_length:
            self.wfile.write(b"0\r\n\r\n")
        if fault.length_off_by:
            self.close_connection = True
