from __future__ import annotations

from collections.abc import Iterator

import pytest

from comfywatchman.demo.hub import Hub
from comfywatchman.domain.candidates import Wanted
from comfywatchman.domain.secrets import Secret
from comfywatchman.net.asking import Net
from comfywatchman.net.policy import HostToken, NetPolicy
from comfywatchman.pipeline.questions import Asking
from comfywatchman.resolve.backend import ask
from comfywatchman.resolve.huggingface import HuggingFace
from comfywatchman.resolve.known import WorkflowBackend
from comfywatchman.resolve.offers import Offers
from comfywatchman.resolve.published import ByHost
from comfywatchman.resolve.ranking import choose
from comfywatchman.resolve.urls import Endpoints
from comfywatchman.resolve.web import Web

NAME = "a.safetensors"
URL = f"https://huggingface.co/owner/repo/resolve/main/{NAME}"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub(tokens=frozenset({"good"})) as hub:
        hub.add(URL)
        yield hub


def asked(hub: Hub, *urls: str, policy: NetPolicy | None = None) -> Offers:
    net = Net(policy or NetPolicy(insecure_hosts=tuple(hub.hosts)))
    endpoints = Endpoints(huggingface=hub.url)
    asking = Asking(net)
    publisher = ByHost(HuggingFace(asking, endpoints), Web(asking, endpoints))
    backends = [WorkflowBackend(publisher, endpoints)]
    try:
        return ask(backends, Wanted("loras", NAME, urls), lambda _: None)
    finally:
        net.close()


def test_the_guarded_network_gives_the_facts(hub: Hub) -> None:
    plain = hub.add_plain(NAME, digest=True)

    offers = asked(hub, URL, plain)

    assert [offer.sha256 for offer in offers] == [hub.named(NAME).sha256] * 2
    assert [offer.grade for offer in offers] == ["B", "B"]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/a.safetensors",
        "http://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/a.safetensors",
        "https://localhost/a.safetensors",
        "http://[::1]:1/a.safetensors",
    ],
)
def test_an_address_in_a_private_network_is_refused_and_the_others_go_on(
    hub: Hub, url: str
) -> None:
    offers = asked(hub, url, URL)

    assert [offer.url for offer in offers] == [URL]
    assert [trouble.code for trouble in offers.troubles] == ["url-refused"]
    assert offers.complete


def test_a_gated_file_is_open_with_the_token_of_the_hub(hub: Hub) -> None:
    hub.gate("owner/repo")
    host = hub.hosts[0]
    policy = NetPolicy(insecure_hosts=tuple(hub.hosts), tokens=(HostToken(host, Secret("good")),))
    wanted = Wanted("loras", NAME, (URL,))

    assert choose(asked(hub, URL), wanted).chosen == ()
    assert choose(asked(hub, URL, policy=policy), wanted).chosen != ()


def test_a_server_that_ends_the_connection_is_an_outage(hub: Hub) -> None:
    hub.fault("drop", where="hub", times=9)

    offers = asked(hub, URL)

    assert list(offers) == []
    assert not offers.complete
    assert [trouble.code for trouble in offers.troubles] == ["source-unavailable"]
