"""Servers that speak HTTP wrongly, or so slowly that no time-out of one read ends it."""

from __future__ import annotations

import contextlib
import gzip
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from comfywatchman.domain.errors import LoginNeeded, SourceUnavailable, WatchmanError
from comfywatchman.download.http import Limits
from comfywatchman.download.ranges import Ranges
from comfywatchman.net.asking import Net
from comfywatchman.net.policy import NetPolicy
from tests.download.fetching import NAME, Fetching, model, sha256

DATA = model(400_000)
SIZE, SHA = len(DATA), sha256(DATA)
STALL = 0.5

Script = Callable[[socket.socket, str, threading.Event], None]


@contextmanager
def server(script: Script) -> Iterator[str]:
    """Answer each question with *script*, which is told the head and when all is over."""
    over = threading.Event()
    threads: list[threading.Thread] = []

    def answer(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(65536)
            script(connection, head.decode("latin-1"), over)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                thread = threading.Thread(target=answer, args=(connection,), daemon=True)
                threads.append(thread)
                thread.start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        accepting = threading.Thread(target=serve, daemon=True)
        accepting.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        over.set()
        listening.shutdown(socket.SHUT_RDWR)
        accepting.join(5)
        for thread in threads:
            thread.join(5)


def head(status: str, **headers: object) -> bytes:
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode()


def dripped(connection: socket.socket, data: bytes, over: threading.Event) -> None:
    for byte in data:
        if over.wait(0.05):
            return
        connection.send(bytes([byte]))


def fetching(tmp_path: Path, host: str) -> Fetching:
    made = Fetching(tmp_path / f".{NAME}.0123456789ab.part", (host,))
    made.limits = Limits(stall_seconds=STALL, least_bytes=1000)
    made.read_timeout = 5
    return made


def test_a_body_that_trickles_is_read_no_longer_than_it_may_take() -> None:
    def script(connection: socket.socket, _head: str, over: threading.Event) -> None:
        connection.sendall(head("403 Forbidden", Content_Length=9000))
        dripped(connection, b" " * 9000, over)

    with server(script) as host:
        net = Net(NetPolicy(insecure_hosts=(host,)))
        began = time.monotonic()
        with net.ask("GET", f"http://{host}/") as reply, pytest.raises(SourceUnavailable):
            reply.read(9000, within=0.3)
        net.close()

    assert time.monotonic() - began < 3


def test_a_refusal_whose_words_do_not_come_is_a_refusal(tmp_path: Path) -> None:
    def script(connection: socket.socket, _head: str, _over: threading.Event) -> None:
        told = head("401 Unauthorized", Content_Type="application/json", Content_Length=9000)
        connection.sendall(told + b'{"error": "not')

    with server(script) as host, pytest.raises(LoginNeeded):
        fetching(tmp_path, host).fetch(f"http://{host}/x")


def test_a_range_whose_head_trickles_is_not_waited_for(tmp_path: Path) -> None:
    data = model(4_000_000)
    asked: list[str] = []

    def script(connection: socket.socket, question: str, over: threading.Event) -> None:
        wanted = re.search(r"(?im)^range: bytes=(\d+)-(\d*)", question)
        if wanted is None:
            connection.sendall(
                head("200 OK", Content_Length=len(data), ETag='"a"', Accept_Ranges="bytes")
            )
            for at in range(0, len(data), 40_000):
                if over.wait(0.03):
                    return
                connection.sendall(data[at : at + 40_000])
            return
        asked.append(wanted[1])
        if len(asked) > 2:
            dripped(connection, b"HTTP/1.1 206 Partial Content\r\n" + b"X: y\r\n" * 9000, over)
            return
        begin, end = int(wanted[1]), int(wanted[2] or len(data) - 1)
        shown = f"bytes {begin}-{end}/{len(data)}"
        connection.sendall(
            head("206 Partial", Content_Range=shown, Content_Length=end - begin + 1, ETag='"a"')
            + data[begin : end + 1]
        )

    with server(script) as host:
        made = fetching(tmp_path, host)
        made.ranges = Ranges(4, least_rest=100_000, worth_seconds=0.3)
        began = time.monotonic()
        with contextlib.suppress(SourceUnavailable):
            made.fetch(f"http://{host}/x", size=len(data), sha=sha256(data))

    assert asked
    assert time.monotonic() - began < 20


def bomb() -> bytes:
    return gzip.compress(gzip.compress(bytes(64 << 20), 9))


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (head("200 OK", Content_Length=-5) + DATA, "placed"),
        (head("200 OK", Content_Length=1 << 64) + DATA, "source-unavailable"),
        (head("200 OK", Content_Length=(1 << 63) - 1) + DATA, "source-unavailable"),
        # Beside chunks a length says nothing.
        (
            head("200 OK", Content_Length=5, Transfer_Encoding="chunked")
            + b"%x\r\n%b\r\n0\r\n\r\n" % (SIZE, DATA),
            "placed",
        ),
        (head("200 OK", Transfer_Encoding="chunked") + b"-5\r\n" + DATA, "source-unavailable"),
        (head("200 OK", Content_Length="5\r\nContent-Length: 9") + DATA, "source-unavailable"),
        (head("200 OK", Content_Length=f"{SIZE}\r\nContent-Length: {SIZE}") + DATA, "placed"),
        (head("206 Partial Content", Content_Length=SIZE) + DATA, "wrong-answer"),
        (head("200 OK", Transfer_Encoding="gzip, chunked") + b"5\r\n\x1f\x8b", "wrong-answer"),
        (head("200 OK", Content_Encoding="gzip") + bomb(), "wrong-answer"),
        (
            head("403 Forbidden", Content_Type="text/plain", Content_Encoding="gzip, gzip")
            + bomb(),
            "login-needed",
        ),
        (
            head(
                "200 OK",
                Content_Length=SIZE,
                Content_Disposition='attachment; filename="../../../evil.py"',
            )
            + DATA,
            "placed",
        ),
    ],
)
def test_lengths_and_names_that_a_server_makes_up_do_no_harm(
    tmp_path: Path, answer: bytes, outcome: str
) -> None:
    def script(connection: socket.socket, _head: str, _over: threading.Event) -> None:
        connection.sendall(answer)

    with server(script) as host:
        made = fetching(tmp_path, host)
        try:
            fetched = made.fetch(f"http://{host}/{NAME}", size=SIZE, sha=SHA)
            told = "placed" if fetched.measured.sha256 == SHA else "wrong bytes"
        except WatchmanError as error:
            told = error.code

    assert told == outcome
    assert [path.name for path in tmp_path.iterdir()] == [made.part.name]
