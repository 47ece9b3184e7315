from __future__ import annotations

import json
import socket
import threading
import time

import pytest

from comfywatchman.domain.errors import AddressInUse
from comfywatchman.domain.secrets import Secret
from comfywatchman.server import Feed, HttpServer
from comfywatchman.server.feed import MOST_CLIENTS, MOST_WAITING
from tests.server.small_daemon import TOKEN, House, SmallDaemon, house


def listening(at: House) -> socket.socket:
    """Return a connection that reads events, its headers read already."""
    connection = socket.create_connection((at.host, at.port), timeout=10)
    connection.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    read_until(connection, b": comfywatchman\n\n")
    return connection


def read_until(connection: socket.socket, wanted: bytes) -> bytes:
    received = b""
    while wanted not in received:
        part = connection.recv(65536)
        assert part, f"closed before {wanted!r}: {received!r}"
        received += part
    return received


def server_at(port: int, host: str = "127.0.0.1") -> HttpServer:
    daemon = SmallDaemon()
    return HttpServer(
        host=host,
        port=port,
        window=daemon,
        commands=daemon,
        token=Secret(TOKEN),
        feed=Feed(),
        tally=daemon.meter,
        version="1.0",
    )


def test_an_address_that_is_taken_is_told_with_a_remedy() -> None:
    with house() as at:
        with pytest.raises(AddressInUse) as caught:
            server_at(at.port).start()

        assert str(at.port) in caught.value.cause
        assert "http.listen" in caught.value.remedy


@pytest.mark.parametrize("host", ["192.0.2.1", "no such name"])
def test_an_address_that_is_not_ours_is_told(host: str) -> None:
    with pytest.raises(AddressInUse):
        server_at(0, host).start()


def test_a_port_can_be_used_again_at_once() -> None:
    with house() as at:
        at.ask("GET", "/healthz")
        port = at.port

    again = server_at(port)
    assert again.start() == ("127.0.0.1", port)
    again.stop()


def test_ipv6_loopback_is_served() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    with house(host="::1") as at:
        assert at.ask("GET", "/healthz").status == 200


def test_a_server_that_never_started_can_be_stopped() -> None:
    server_at(0).stop()


def test_stopping_takes_less_than_a_second_whatever_is_open() -> None:
    with house() as at:
        streams = [listening(at) for _ in range(3)]
        half = socket.create_connection((at.host, at.port))
        half.sendall(b"GET / HTTP/1.1\r\nHost:")

        begun = time.monotonic()
        at.server.stop()

        assert time.monotonic() - begun < 1.0
        assert not any(thread.name == "http" for thread in threading.enumerate())
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((at.host, at.port), timeout=1)
        for connection in (*streams, half):
            connection.close()


def test_events_reach_every_client() -> None:
    with house() as at:
        streams = [listening(at) for _ in range(3)]

        at.feed.publish(b'{"event":"workflow.ready"}')

        for stream in streams:
            data = read_until(stream, b"workflow.ready")
            [line] = [part for part in data.splitlines() if part.startswith(b"data: ")]
            assert json.loads(line[6:])["event"] == "workflow.ready"
            stream.close()


def test_a_quiet_stream_has_a_heartbeat() -> None:
    with house(heartbeat_seconds=0.05) as at:
        stream = listening(at)

        assert b": still here" in read_until(stream, b": still here")
        stream.close()


def test_a_client_too_many_is_told_so() -> None:
    with house() as at:
        streams = [listening(at) for _ in range(MOST_CLIENTS)]

        answer = at.ask("GET", "/api/v1/events")

        assert answer.status == 503
        assert answer.json["error"]["code"] == "too-many-clients"
        assert at.ask("GET", "/api/v1/status").status == 200
        for stream in streams:
            stream.close()


def test_a_client_that_does_not_read_loses_lines_and_holds_nobody_up() -> None:
    with house() as at:
        lazy, keen = listening(at), listening(at)
        line = b'{"pad":"' + b"x" * 16_000 + b'"}'

        for _ in range(MOST_WAITING * 3):
            at.feed.publish(line)
        at.feed.publish(b'{"event":"the last"}')

        read_until(keen, b"the last")
        assert at.ask("GET", "/healthz").status == 200
        for stream in (lazy, keen):
            stream.close()


def test_a_feed_outlives_its_server_as_a_reload_needs_it() -> None:
    feed = Feed()
    for _ in range(2):
        with house(feed=feed) as at:
            stream = listening(at)
            feed.publish(b'{"event":"x"}')
            read_until(stream, b'"x"')
            stream.close()


def test_publishing_without_clients_or_server_does_nothing() -> None:
    feed = Feed()
    feed.publish(b"{}")
    with house() as at:
        at.feed.publish(b"{}")
    at.feed.publish(b"{}")
