from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from comfywatchman.server.guard import host_of, is_loopback
from tests.server.small_daemon import TOKEN, House, house, wait_for

GOOD = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}


@pytest.fixture(scope="module")
def at() -> Iterator[House]:
    with house() as found:
        yield found


def raw(at: House, request: bytes, *, seconds: float = 10.0) -> bytes:
    """Send bytes and return everything that comes until the server closes, or time is up."""
    with socket.create_connection((at.host, at.port), timeout=seconds) as connection:
        connection.sendall(request)
        received = b""
        with contextlib.suppress(TimeoutError, ConnectionError):
            while part := connection.recv(65536):
                received += part
        return received


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:8189",
        "2130706433",
        "0x7f.1",
        "127.1",
        "[::ffff:8.8.8.8]",
        "user@127.0.0.1",
        "127.0.0.1:80:80",
        "",
        "10.0.0.1",
    ],
)
def test_a_host_that_is_no_literal_loopback_is_refused(at: House, host: str) -> None:
    answer = at.ask("GET", "/api/v1/status", None, {"Host": host})

    assert answer.status in {400, 403}
    assert answer.json["error"]["code"] in {"wrong-host", "bad-request"}


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.8.9.1:5", "[::1]:5"]
)
def test_a_literal_loopback_host_is_served(at: House, host: str) -> None:
    assert at.ask("GET", "/api/v1/status", None, {"Host": host}).status == 200


def test_a_request_without_a_host_is_refused(at: House) -> None:
    assert b" 403 " in raw(at, b"GET / HTTP/1.0\r\n\r\n").split(b"\r\n")[0]
    assert b" 400 " in raw(at, b"GET / HTTP/1.1\r\n\r\n").split(b"\r\n")[0]


def test_two_hosts_are_refused(at: House) -> None:
    request = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n"

    assert b" 400 " in raw(at, request).split(b"\r\n")[0]


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1", ""]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_page_of_another_site_is_refused_even_with_the_token(
    at: House, method: str, origin: str
) -> None:
    answer = at.ask(method, "/api/v1/sweep", b"", {**GOOD, "Origin": origin})

    assert answer.status == 403
    assert answer.json["error"]["code"] == "wrong-origin"


def test_a_page_of_ours_is_served(at: House) -> None:
    headers = {**GOOD, "Origin": f"http://{at.host}:{at.port}"}

    assert at.ask("POST", "/api/v1/sweep", b"", headers).status == 202


def test_what_a_browser_calls_cross_site_is_refused(at: House) -> None:
    headers = {**GOOD, "Sec-Fetch-Site": "cross-site"}

    assert at.ask("POST", "/api/v1/sweep", b"", headers).status == 403


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}",
     "Bearer \xff\xfe"],
)  # fmt: skip  # a list of words
def test_a_change_without_the_right_token_is_refused(at: House, authorization: str) -> None:
    at.daemon.asked.clear()
    headers = {"Content-Type": "application/json"}
    if authorization:
        headers["Authorization"] = authorization

    answer = at.ask("POST", "/api/v1/sweep", b"", headers)

    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert at.daemon.asked == []


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "json"]
)
def test_a_change_that_is_not_json_is_refused(at: House, kind: str) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    if kind:
        headers["Content-Type"] = kind

    answer = at.ask("POST", "/api/v1/sweep", b"", headers)

    assert answer.status == 415


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"])
def test_another_method_changes_nothing(at: House, method: str) -> None:
    at.daemon.asked.clear()

    answer = at.ask(method, "/api/v1/sweep", None, GOOD)

    assert answer.status == 405
    assert answer.json["error"]["code"] == "method-not-allowed"
    assert answer.headers["allow"] == "POST"
    assert at.daemon.asked == []


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 40,
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n"
        b"Content-Length: 6\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
    ],
    ids=["tls", "http-0.9", "negative", "long-header", "many-headers", "two-lengths", "encoding"],
)
def test_what_is_no_request_is_refused_and_the_next_one_served(
    at: House, request_bytes: bytes
) -> None:
    answer = raw(at, request_bytes, seconds=1)

    first = answer.split(b"\r\n")[0]
    assert answer == b"" or first.split(b" ")[1] in {b"400", b"431", b"501"}
    assert at.ask("GET", "/healthz").status == 200


def test_half_open_connections_do_not_keep_others_out() -> None:
    with house(request_seconds=60.0) as at, contextlib.ExitStack() as held:
        for number in range(500):
            connection = socket.create_connection((at.host, at.port), timeout=10)
            held.enter_context(contextlib.closing(connection))
            if number % 2:
                # The server may have closed it in favor of a newer one already.
                with contextlib.suppress(ConnectionError):
                    connection.sendall(b"GET / HTTP/1.1\r\nHost: 127")

        begun = time.monotonic()
        answer = at.ask("GET", "/api/v1/status")

        assert answer.status == 200
        assert time.monotonic() - begun < 1.0
        assert at.rejected("flood") >= 400


def test_a_request_that_is_never_finished_is_cut_off() -> None:
    with house(request_seconds=0.2) as at:
        assert raw(at, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n", seconds=5) == b""
        assert raw(at, b"", seconds=5) == b""
        assert at.rejected("slow") == 2


def test_trickling_bytes_does_not_buy_time() -> None:
    with house(request_seconds=0.5) as at:
        with socket.create_connection((at.host, at.port), timeout=10) as connection:
            begun = time.monotonic()
            cut_off = False
            while not cut_off and time.monotonic() - begun < 5:
                try:
                    connection.sendall(b"G")
                    connection.settimeout(0.05)
                    cut_off = connection.recv(1) == b""
                except TimeoutError:
                    continue
                except ConnectionError:
                    cut_off = True

        assert cut_off
        assert time.monotonic() - begun < 3


def test_a_second_request_on_a_connection_has_its_own_deadline() -> None:
    with house(request_seconds=0.3) as at:
        whole = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

        answer = raw(at, whole + b"GET /healthz HT", seconds=5)

        assert answer.count(b"HTTP/1.1 200") == 1
        assert at.rejected("slow") == 1


def test_a_body_that_a_refused_request_still_sends_has_a_deadline() -> None:
    with house(request_seconds=0.3) as at:
        head = b"POST /api/v1/sweep HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99\r\n\r\nx"

        answer = raw(at, head, seconds=8)

        assert b" 401 " in answer.split(b"\r\n")[0]
        assert at.rejected("slow") == 1


def test_several_requests_on_one_connection_are_answered_in_order(at: House) -> None:
    one = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    last = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"

    assert raw(at, one * 5 + last).count(b"HTTP/1.1 200") == 6


def test_beyond_loopback_everything_needs_the_token_but_what_is_opened() -> None:
    with house(host="0.0.0.0", opened=("/metrics",)) as at:
        token = {"Authorization": f"Bearer {TOKEN}"}

        assert at.ask("GET", "/api/v1/status").status == 401
        assert at.ask("GET", "/healthz").status == 401
        assert at.ask("GET", "/").status == 401
        assert at.ask("GET", "/metrics").status == 200
        assert at.ask("GET", "/api/v1/status", None, token).status == 200
        assert at.ask("GET", "/api/v1/status", None, {**token, "Host": "10.1.2.3"}).status == 200
        assert (
            at.ask("GET", "/api/v1/status", None, {**token, "Host": "evil.example"}).status == 403
        )


def test_a_name_of_the_settings_is_one_of_ours_and_no_other() -> None:
    with house(names=("Watchman.lan",)) as at:
        assert at.ask("GET", "/healthz", None, {"Host": "watchman.lan:8189"}).status == 200
        assert at.ask("GET", "/healthz", None, {"Host": "lan"}).status == 403
        assert at.ask("GET", "/healthz", None, {"Host": "a.watchman.lan"}).status == 403


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("[::1]", True), ("localhost", True), ("0.0.0.0", False),
     ("::", False), ("example.org", False), ("10.0.0.1", False), ("", False)],
)  # fmt: skip  # a table
def test_loopback_is_known_without_looking_anything_up(host: str, local: bool) -> None:
    assert is_loopback(host) is local


@pytest.mark.parametrize(
    ("header", "host"),
    [("127.0.0.1:80", "127.0.0.1"), ("[::1]:80", "::1"), ("A.B", "a.b"), ("a b", None),
     ("a/b", None), ("a:b", None), ("", None), ("a\n", None)],
)  # fmt: skip  # a table
def test_the_host_of_a_header(header: str, host: str | None) -> None:
    assert host_of(header) == host


def test_rejections_are_counted_by_reason() -> None:
    with house() as at:
        at.ask("GET", "/", None, {"Host": "evil.example"})
        at.ask("POST", "/api/v1/sweep", b"", {})

        wait_for(lambda: at.rejected("token-needed") == 1)
        assert at.rejected("wrong-host") == 1
