"""No byte of ours goes to an address inside, however it is spelled, led to, or looked up."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
import requests
import urllib3

from comfywatchman.domain.errors import WatchmanError
from comfywatchman.net.asking import Net
from comfywatchman.net.policy import NetPolicy, Origin
from comfywatchman.net.session import open_session
from tests.shelf import Fault, Shelf

SPELLINGS = [
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "127.000.000.001",
    "0177.0.0.1",
    "0177.0.0.01",
    "0177.1",
    "00000177.1",
    "0x7f.0.0.1",
    "0x7f.1",
    "0x7F.0x0.0x0.0x1",
    "0x7f000001",
    "0x7f000001.",
    "0X7F000001",
    "2130706433",
    "02130706433",
    "017700000001",
    "0000017700000001",
    "127.0.0.2",
    "127.255.255.254",
    "0",
    "0.0.0.0",
    "0x0",
    "00",
    "0.0",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "any.localhost",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:0:127.0.0.1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[fe80::1]",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "１２７.0.0.1",  # noqa: RUF001 - it is what is tried
]
"""Of this machine, as browsers, libraries and the C library take them."""


class Listener:
    """Hears whatever comes to a port of this machine, by every address."""

    def __init__(self) -> None:
        self._server = socket.create_server(
            ("::", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64
        )
        self.port = self._server.getsockname()[1]
        self.heard: list[bytes] = []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(2)
                try:
                    self.heard.append(connection.recv(1000))
                except OSError:
                    self.heard.append(b"")

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def inside() -> Iterator[Listener]:
    found = Listener()
    yield found
    found.close()


def test_there_are_forty_spellings() -> None:
    assert len(set(SPELLINGS)) >= 40


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", SPELLINGS)
def test_an_address_inside_is_not_even_connected_to(
    host: str, scheme: str, inside: Listener
) -> None:
    net = Net(NetPolicy(allowed_hosts=("*",), connect_timeout=2))

    with pytest.raises(WatchmanError), net.ask("GET", f"{scheme}://{host}:{inside.port}/x"):
        pass

    assert inside.heard == []


@pytest.mark.parametrize("host", SPELLINGS)
def test_were_an_address_let_through_nothing_would_be_said_to_it(
    host: str, inside: Listener
) -> None:
    session = open_session(NetPolicy(allowed_hosts=("*",), connect_timeout=2))

    with pytest.raises((WatchmanError, requests.RequestException, urllib3.exceptions.HTTPError)):
        session.get(f"http://{host}:{inside.port}/x", timeout=2)

    assert b"".join(inside.heard) == b""


@pytest.mark.parametrize("host", SPELLINGS)
def test_a_redirect_leads_to_no_address_inside(host: str, inside: Listener) -> None:
    with Shelf() as shelf:
        # As a header may hold it: UTF-8, which is what servers send.
        location = f"http://{host}:{inside.port}/x".encode().decode("latin-1")
        shelf.spoil("/a", Fault(redirect_to=location))
        net = Net(NetPolicy(allowed_hosts=("*",), insecure_hosts=(shelf.host,), connect_timeout=2))

        with pytest.raises(WatchmanError), net.ask("GET", f"{shelf.url}/a", follow="all"):
            pass

    assert inside.heard == []


def test_a_name_that_is_looked_up_differently_the_second_time_gets_nothing(
    inside: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["93.184.216.34", "127.0.0.1"])
    real = socket.getaddrinfo

    def rebinding(host: str, port: int, *args: int, **more: int):  # type: ignore[no-untyped-def]  # as the library's
        if host == "rebinding.example":
            host = next(answers)
        return real(host, port, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    assert rebinding("rebinding.example", 443)[0][4][0] == "93.184.216.34"  # whoever looked first
    net = Net(NetPolicy(allowed_hosts=("rebinding.example",), connect_timeout=2))

    with (
        pytest.raises(WatchmanError, match="no public address"),
        net.ask("GET", f"https://rebinding.example:{inside.port}/x"),
    ):
        pass

    assert b"".join(inside.heard) == b""


def test_a_name_with_several_addresses_gets_nothing_from_the_one_inside(
    inside: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    def both(host: str, port: int, *_args: int, **_more: int):  # type: ignore[no-untyped-def]  # as the library's
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in ("127.0.0.1", "127.0.0.2")
        ]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    net = Net(NetPolicy(allowed_hosts=("two.example",), connect_timeout=2))

    with pytest.raises(WatchmanError), net.ask("GET", f"https://two.example:{inside.port}/x"):
        pass

    assert b"".join(inside.heard) == b""


def test_only_the_port_that_the_settings_name_is_open(inside: Listener) -> None:
    policy = NetPolicy(insecure_hosts=(f"127.0.0.1:{inside.port + 1}",), connect_timeout=2)

    assert not policy.allows(Origin("http", "127.0.0.1", inside.port))
    with (
        pytest.raises(WatchmanError),
        Net(policy).ask("GET", f"http://127.0.0.1:{inside.port}/x"),
    ):
        pass
    assert inside.heard == []
