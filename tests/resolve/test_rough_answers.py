"""Servers that no hub should be, on real sockets, asked through the guarded network."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from comfywatchman.domain.candidates import Wanted
from comfywatchman.domain.errors import SourceUnavailable, WatchmanError, WrongAnswer
from comfywatchman.net.asking import Net
from comfywatchman.net.policy import NetPolicy
from comfywatchman.pipeline.questions import Asking
from comfywatchman.resolve.asking import MANY_BYTES
from comfywatchman.resolve.civitai import Civitai
from comfywatchman.resolve.civitai_search import CivitaiBackend
from comfywatchman.resolve.hub_listing import HubListing
from comfywatchman.resolve.urls import Endpoints
from tests.resolve.civitai_records import a_file, a_model, a_page, a_version

PACKED = gzip.compress(b" " * 5_000_000)
Serve = Callable[[socket.socket, threading.Event], None]


@contextmanager
def server(serve: Serve) -> Iterator[str]:
    """A server that does *serve* with every connection; gives its address."""
    listening = socket.create_server(("127.0.0.1", 0))
    closing = threading.Event()

    def accept() -> None:
        while not closing.is_set():
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(65536)
                serve(connection, closing)
            except OSError:
                return  # the client hung up, as it should

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        closing.set()
        listening.close()


def head(*lines: str) -> bytes:
    return "\r\n".join(
        ["HTTP/1.1 200 OK", "Content-Type: application/json", *lines, "", ""]
    ).encode()


def asked(url: str, *, read_timeout: float = 5.0, longest: float = 60.0) -> Asking:
    policy = NetPolicy(
        insecure_hosts=(url.removeprefix("http://"),), read_timeout=read_timeout, connect_timeout=2
    )
    return Asking(Net(policy), longest)


def silence(connection: socket.socket, closing: threading.Event) -> None:
    closing.wait(30)


def a_cut_body(connection: socket.socket, closing: threading.Event) -> None:
    connection.sendall(head("Content-Length: 1000") + b'{"id": 34, "files": [')


def a_body_that_is_longer_than_it_says(connection: socket.socket, closing: threading.Event) -> None:
    connection.sendall(head("Content-Length: 10") + b'{"id": 34, "files": []}')


def no_http(connection: socket.socket, closing: threading.Event) -> None:
    connection.sendall(b"\x16\x03\x01 hello \r\n\r\n")


def endless_headers(connection: socket.socket, closing: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in range(100_000):
        connection.sendall(f"X-{number}: y\r\n".encode())


def broken_chunks(connection: socket.socket, closing: threading.Event) -> None:
    connection.sendall(head("Transfer-Encoding: chunked") + b"zz\r\n{}\r\n0\r\n\r\n")


def an_endless_body(connection: socket.socket, closing: threading.Event) -> None:
    connection.sendall(head() + b'{"items": [')
    while not closing.is_set():
        connection.sendall(b'{"id": 1, "name": "a model of many"},' * 1000)


def a_packed_body(connection: socket.socket, closing: threading.Event) -> None:
    """Compressed although nobody asked for it: a few bytes could stand for gigabytes."""
    body = PACKED
    connection.sendall(head("Content-Encoding: gzip", f"Content-Length: {len(body)}") + body)


LOOKS: dict[str, Callable[[Asking, Endpoints], object]] = {
    "version": lambda ask, ends: Civitai(ask, ends).version(34),
    "search": lambda ask, ends: Civitai(ask, ends).models("words"),
    "tree": lambda ask, ends: HubListing(ask, ends).files("o/r", ""),
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize(
    ("serve", "error"),
    [
        (silence, SourceUnavailable),
        (a_cut_body, SourceUnavailable),
        (a_body_that_is_longer_than_it_says, WrongAnswer),
        (no_http, SourceUnavailable),
        (endless_headers, SourceUnavailable),
        (broken_chunks, SourceUnavailable),
        (a_packed_body, WrongAnswer),
    ],
)
def test_what_is_no_whole_answer_is_a_typed_error(
    look: str, serve: Serve, error: type[WatchmanError]
) -> None:
    patience = 0.5 if serve is silence else 5.0
    with server(serve) as url, pytest.raises(error):
        LOOKS[look](asked(url, read_timeout=patience), Endpoints(url, url, url))


def test_no_more_is_read_than_was_asked_for() -> None:
    with server(an_endless_body) as url:
        answer = asked(url)("GET", f"{url}/x", limit=100_000)

    assert (len(answer.body), answer.cut) == (100_000, True)


def test_a_search_without_an_end_is_read_as_far_as_we_read() -> None:
    started = time.monotonic()

    with server(an_endless_body) as url:
        page = Civitai(asked(url), Endpoints(civitai=url)).models("words")

    assert page.cut
    assert 1000 < len(page.models) < MANY_BYTES
    assert time.monotonic() - started < 20


def test_an_answer_that_drips_is_left_after_its_time() -> None:
    def drip(connection: socket.socket, closing: threading.Event) -> None:
        connection.sendall(head())
        while not closing.wait(0.02):
            connection.sendall(b" ")

    started = time.monotonic()

    with server(drip) as url, pytest.raises(SourceUnavailable, match="did not end"):
        Civitai(asked(url, longest=0.3), Endpoints(civitai=url)).version(34)

    assert time.monotonic() - started < 5


def test_a_host_that_nobody_knows_is_an_outage() -> None:
    ends = Endpoints(civitai="http://no-such-host.invalid")
    policy = NetPolicy(insecure_hosts=("no-such-host.invalid",), connect_timeout=2)

    with pytest.raises(SourceUnavailable):
        Civitai(Asking(Net(policy)), ends).version(34)


def test_a_port_where_nobody_listens_is_an_outage() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"

    with pytest.raises(SourceUnavailable):
        Civitai(asked(url), Endpoints(civitai=url)).version(34)


def test_a_model_of_five_thousand_versions_is_looked_at_within_limits() -> None:
    """Its record has twelve megabytes; four are read, and the evidence says so."""
    versions = [
        a_version(n, a_file(f"v{n}.safetensors", n), description="x" * 2000) for n in range(1, 5001)
    ]
    page = a_page(
        a_model(7, "Detail", a_version(9999, a_file("detail.safetensors", 77_777)), *versions)
    )
    body = json.dumps(page).encode()
    sent = []

    def serve(connection: socket.socket, closing: threading.Event) -> None:
        connection.sendall(head(f"Content-Length: {len(body)}"))
        for start in range(0, len(body), 65536):
            connection.sendall(body[start : start + 65536])
            sent.append(start)

    with server(serve) as url:
        ends = Endpoints(civitai=url)
        backend = CivitaiBackend(Civitai(asked(url), ends), ends)
        offers = backend.search(Wanted("loras", "detail.safetensors"))

    (candidate,) = offers
    assert candidate.grade == "E"
    assert any("Not all of its versions" in text for text in candidate.evidence)
    assert len(body) > 12_000_000
