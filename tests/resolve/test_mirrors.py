"""Who says what a file is, where a mirror is asked."""

from __future__ import annotations

from comfywatchman.demo.hub import Hub
from comfywatchman.domain.candidates import Wanted
from comfywatchman.resolve.huggingface import HuggingFace
from comfywatchman.resolve.known import WorkflowBackend
from comfywatchman.resolve.urls import Endpoints
from tests.resolve.plain_ask import PlainAsk

URL = "https://huggingface.co/owner/repo/resolve/main/a.safetensors"


def test_the_mirror_that_answered_is_named_and_not_the_hub() -> None:
    with Hub() as hub:
        hub.add(URL)
        endpoints = Endpoints(huggingface=hub.url)
        publisher = HuggingFace(PlainAsk(), endpoints)
        wanted = Wanted("vae", "a.safetensors", (URL,))

        (candidate,) = WorkflowBackend(publisher, endpoints).search(wanted)

    mirror = hub.url.removeprefix("http://")
    said = f"{mirror}, asked instead of huggingface.co, publishes its SHA-256."
    assert said in candidate.evidence
