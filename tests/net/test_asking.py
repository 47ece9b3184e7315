from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from comfywatchman.domain.errors import HostNotAllowed, SourceUnavailable, UrlRefused
from comfywatchman.domain.secrets import Secret
from comfywatchman.net.asking import Net
from comfywatchman.net.policy import HostToken, NetPolicy, Origin, Proxies
from comfywatchman.net.session import open_session
from tests.shelf import Fault, Shelf

TOKEN = "a-token-that-nobody-else-may-see"


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with Shelf() as made:
        yield made


@pytest.fixture
def other() -> Iterator[Shelf]:
    with Shelf("localhost") as made:
        yield made


def net(*hosts: str, token_host: str = "", read_timeout: float = 5) -> Net:
    tokens = (HostToken(token_host, Secret(TOKEN)),) if token_host else ()
    return Net(NetPolicy(insecure_hosts=hosts, tokens=tokens, read_timeout=read_timeout))


def ask(net: Net, url: str, **more: object) -> tuple[int, bytes]:
    with net.ask("GET", url, follow="all", **more) as reply:  # type: ignore[arg-type]  # a test's shorthand
        return reply.status, reply.read(1000)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0", "localhost",
     "[::ffff:127.0.0.1]"],
)  # fmt: skip
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_byte_reaches_a_private_address_however_it_is_spelled(scheme: str, host: str) -> None:
    listening = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    heard: list[bytes] = []
    ended = threading.Event()

    def listen() -> None:
        connection, _ = listening.accept()
        with connection:
            heard.append(connection.recv(1000))
        ended.set()

    threading.Thread(target=listen, daemon=True).start()
    session = open_session(NetPolicy(allowed_hosts=("*",)))

    with pytest.raises(UrlRefused, match="no public address"):
        session.get(f"{scheme}://{host}:{listening.getsockname()[1]}/x", timeout=5)

    assert ended.wait(5)
    assert heard == [b""]
    listening.close()


def test_a_private_host_that_the_settings_name_is_asked(shelf: Shelf) -> None:
    url = shelf.put("/a", b"hello")

    assert ask(net(shelf.host), url) == (200, b"hello")


def test_a_token_goes_to_its_own_host(shelf: Shelf) -> None:
    url = shelf.put("/a", b"hello")

    ask(net(shelf.host, token_host=shelf.host), url)

    assert shelf.asked[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_a_token_is_left_out_when_asked_for_without(shelf: Shelf) -> None:
    url = shelf.put("/a", b"hello")

    ask(net(shelf.host, token_host=shelf.host), url, authenticate=False)

    assert "authorization" not in shelf.asked[0].headers


def test_a_token_for_another_port_is_not_sent(shelf: Shelf) -> None:
    url = shelf.put("/a", b"hello")

    ask(net(shelf.host, token_host="127.0.0.1"), url)

    assert "authorization" not in shelf.asked[0].headers


@pytest.mark.parametrize("back", [False, True])
def test_a_token_is_not_sent_once_a_redirect_has_led_away(
    shelf: Shelf, other: Shelf, back: bool
) -> None:
    other.put("/b", b"there")
    url = shelf.put("/a", b"")
    shelf.put("/c", b"again here")
    shelf.spoil("/a", Fault(redirect_to=f"{other.url}/b"))
    if back:
        other.spoil("/b", Fault(redirect_to=f"{shelf.url}/c"))

    ask(net(shelf.host, other.host, token_host=shelf.host), url)

    everything = [*shelf.asked[1:], *other.asked]
    assert shelf.asked[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert len(everything) == (2 if back else 1)
    assert not [asked for asked in everything if TOKEN in str(asked)]


def test_a_token_stays_through_a_redirect_on_the_same_host(shelf: Shelf) -> None:
    url = shelf.put("/old", b"")
    shelf.put("/new", b"hello")
    shelf.spoil("/old", Fault(redirect_to="/new", status=307))

    ask(net(shelf.host, token_host=shelf.host), url)

    assert [asked.headers.get("authorization") for asked in shelf.asked] == [f"Bearer {TOKEN}"] * 2


def test_netrc_and_proxies_of_the_environment_are_not_read(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password hunter2\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    url = shelf.put("/a", b"hello")

    assert ask(net(shelf.host), url) == (200, b"hello")
    assert "authorization" not in shelf.asked[0].headers


def test_cookies_are_neither_kept_nor_sent(shelf: Shelf) -> None:
    url = shelf.put("/a", b"hello")
    shelf.spoil("/a", Fault(headers={"Set-Cookie": "session=1"}))
    asking = net(shelf.host)

    ask(asking, url)
    ask(asking, url)

    assert "cookie" not in shelf.asked[1].headers


def test_a_redirect_into_a_private_network_is_refused(shelf: Shelf, other: Shelf) -> None:
    url = shelf.put("/a", b"")
    shelf.spoil("/a", Fault(redirect_to=f"{other.url}/secret"))

    with pytest.raises(UrlRefused):
        ask(net(shelf.host), url)

    assert other.asked == []


def test_a_redirect_to_a_host_that_is_not_allowed_is_refused(shelf: Shelf) -> None:
    url = shelf.put("/a", b"")
    shelf.spoil("/a", Fault(redirect_to="https://example.com/x"))

    with pytest.raises(HostNotAllowed):
        ask(net(shelf.host), url)


def test_five_redirects_are_followed_and_not_six(shelf: Shelf) -> None:
    for number in range(7):
        shelf.put(f"/{number}", b"end")
        shelf.spoil(f"/{number}", Fault(redirect_to=f"/{number + 1}", times=None))
    shelf.faults["/6"].clear()

    assert ask(net(shelf.host), f"{shelf.url}/1") == (200, b"end")
    with pytest.raises(SourceUnavailable, match="more than 5 times"):
        ask(net(shelf.host), f"{shelf.url}/0")


def test_a_redirect_elsewhere_is_an_answer_when_only_the_same_host_is_followed(
    shelf: Shelf, other: Shelf
) -> None:
    url = shelf.put("/a", b"")
    shelf.spoil("/a", Fault(redirect_to=f"{other.url}/b", headers={"X-Linked-Size": "7"}))

    with net(shelf.host, other.host).ask("HEAD", url, follow="same-host") as reply:
        assert (reply.status, reply.headers["x-linked-size"]) == (302, "7")
    assert other.asked == []


def test_the_endless_body_of_a_redirect_is_not_read(shelf: Shelf) -> None:
    url = shelf.put("/a", b"x" * 10_000_000)
    shelf.put("/b", b"hello")
    shelf.spoil("/a", Fault(redirect_to="/b", headers={"X-Pad": "x"}))

    assert ask(net(shelf.host), url) == (200, b"hello")


def test_a_dead_port_is_an_unavailable_source_without_the_query() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    with pytest.raises(SourceUnavailable, match="no connection could be made") as caught:
        ask(net(f"127.0.0.1:{port}"), f"http://127.0.0.1:{port}/x?sig=s3cret")

    assert "s3cret" not in f"{caught.value!r}{caught.value}"
    assert caught.value.retryable


def test_silence_is_an_unavailable_source(shelf: Shelf) -> None:
    url = shelf.put("/a", b"x" * 100)
    shelf.spoil("/a", Fault(stall_after=10))

    with pytest.raises(SourceUnavailable, match="nothing came"):
        ask(net(shelf.host, read_timeout=0.3), url)


def test_a_name_that_does_not_resolve_is_an_unavailable_source() -> None:
    policy = NetPolicy(allowed_hosts=("invalid",), connect_timeout=5)

    with pytest.raises(SourceUnavailable):
        ask(Net(policy), "https://nowhere.invalid/x?sig=s3cret")


def test_headers_with_credentials_are_a_bug_of_the_caller(shelf: Shelf) -> None:
    with pytest.raises(ValueError, match="credentials"):
        ask(net(shelf.host), f"{shelf.url}/a", headers={"authorization": "x"})


def test_private_places_are_asked_directly_and_others_through_the_proxy() -> None:
    proxies = Proxies.of(
        {"HTTPS_PROXY": "http://me:pw@proxy:3128", "no_proxy": "direct.example, .corp.example"}
    )
    policy = NetPolicy(insecure_hosts=("mirror.lan",), proxies=proxies)

    found = {
        host: policy.proxy_for(Origin("https", host, 443))
        for host in ("huggingface.co", "mirror.lan", "direct.example", "a.corp.example", "10.0.0.1")
    }

    assert [host for host, proxy in found.items() if proxy] == ["huggingface.co"]
    assert "pw" not in repr(policy)


def test_the_session_tries_nothing_twice_and_follows_nothing(shelf: Shelf) -> None:
    session = open_session(NetPolicy(insecure_hosts=(shelf.host,)))
    shelf.spoil("/a", Fault(status=503, times=None))

    answer = session.get(f"{shelf.url}/a", allow_redirects=False, timeout=5)

    assert isinstance(session, requests.Session)
    assert answer.status_code == 503
    assert len(shelf.asked) == 1
