"""A server that sends the head of its answer a byte at a time."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from comfywatchman.domain.errors import SourceUnavailable
from comfywatchman.net.asking import Net
from comfywatchman.net.policy import NetPolicy


@pytest.fixture
def dripping() -> Iterator[str]:
    """Answer the first question of each connection at once, and the next ones without end."""
    over = threading.Event()
    server = socket.create_server(("127.0.0.1", 0))

    def answer(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while not over.wait(0.05):
                connection.sendall(b"a")

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield f"127.0.0.1:{server.getsockname()[1]}"
    over.set()
    server.close()


def test_the_head_of_an_answer_ends_in_time_on_a_connection_that_was_there_before(
    dripping: str,
) -> None:
    net = Net(NetPolicy(insecure_hosts=(dripping,), read_timeout=30.0))
    with net.ask("GET", f"http://{dripping}/", within=30.0) as reply:
        assert reply.status == 200
        reply.read(10)

    with (
        pytest.raises(SourceUnavailable),
        net.ask("GET", f"http://{dripping}/", within=0.3),
    ):
        pytest.fail("it answered")
    net.close()
