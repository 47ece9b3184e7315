"""The traps of the stand-in hubs that concern the known places."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from comfywatchman.domain.candidates import Resolution, Wanted
from comfywatchman.resolve.backend import SearchBackend, ask
from comfywatchman.resolve.catalog import Catalog
from comfywatchman.resolve.huggingface import HuggingFace
from comfywatchman.resolve.known import CatalogBackend, WorkflowBackend
from comfywatchman.resolve.published import ByHost
from comfywatchman.resolve.ranking import choose
from comfywatchman.resolve.urls import Endpoints
from comfywatchman.resolve.web import Web
from tests.resolve.plain_ask import PlainAsk

STANDIN = Path(__file__).parents[2] / "../shared/standin"
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not STANDIN.is_dir(), reason="the stand-in lies beside the team's checkout"),
]


@pytest.fixture(scope="module")
def hubs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    spec = importlib.util.spec_from_file_location("standin_hubs", STANDIN / "hubs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["standin_hubs"] = module  # its dataclasses look themselves up there
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    spec.loader.exec_module(module)
    sys.dont_write_bytecode = before
    cache = tmp_path_factory.mktemp("hashes") / "hashes.json"
    with module.Hubs(str(STANDIN / "catalogue.json"), cache=str(cache)) as running:
        yield running


def resolve(hubs: Any, wanted: Wanted, token: str | None = None) -> Resolution:
    endpoints = Endpoints(huggingface=hubs.urls["hf"])
    asking = PlainAsk(token)
    publisher = ByHost(HuggingFace(asking, endpoints), Web(asking, endpoints))
    backends: list[SearchBackend] = [
        WorkflowBackend(publisher, endpoints),
        CatalogBackend(Catalog.read(), publisher),
    ]
    offers = ask(backends, wanted, lambda _: None)
    return choose(offers, wanted, complete=offers.complete, troubles=offers.troubles)


def on_hugging_face(ref: str) -> Wanted:
    repo, path = ref.removeprefix("hf:").split(":", 1)
    url = f"https://huggingface.co/{repo}/resolve/main/{path}"
    return Wanted("a_folder_the_catalog_lacks", path.rsplit("/", 1)[-1], (url,))


def test_every_open_file_is_chosen_with_the_hash_of_its_bytes(hubs: Any) -> None:
    closed = ("FLUX.1-dev", "manual-gate", "private-models", "disabled-repo", "README", ".json")
    files = [
        file
        for file in hubs.files()
        if file["ref"].startswith("hf:") and not any(name in file["ref"] for name in closed)
    ]
    assert len(files) > 60

    for file in files:
        resolution = resolve(hubs, on_hugging_face(file["ref"]))
        assert [chosen.sha256 for chosen in resolution.chosen] == [file["sha256"]], file["ref"]
        assert resolution.chosen[0].size == file["size"]


@pytest.mark.parametrize(
    ("ref", "token", "code", "needs"),
    [
        ("black-forest-labs/FLUX.1-dev:ae.safetensors", None, "login-needed", "login"),
        ("standin-org/manual-gate:secret_lora.safetensors", None, "login-needed", "login"),
        (
            "standin-org/manual-gate:secret_lora.safetensors",
            "hf_standinTokenGranted",
            "login-needed",
            "licence",
        ),
        ("standin-org/private-models:in_house.safetensors", None, "source-missing", None),
        (
            "standin-org/private-models:in_house.safetensors",
            "hf_standinTokenPlain",
            "source-missing",
            None,
        ),
        ("standin-org/disabled-repo:gone.safetensors", None, "source-missing", None),
        ("standin-org/odd-paths:not_there.safetensors", None, "source-missing", None),
        ("standin-org/nowhere:a.safetensors", None, "source-missing", None),
        ("standin-org/odd-paths:README.md", None, "choice-needed", None),  # in git: no SHA-256
    ],
)
def test_every_trap_ends_in_its_own_named_outcome(
    hubs: Any, ref: str, token: str | None, code: str, needs: str | None
) -> None:
    resolution = resolve(hubs, on_hugging_face(ref), token)

    assert resolution.chosen == ()
    assert resolution.why is not None
    assert resolution.why.code == code
    assert [candidate.needs for candidate in resolution.candidates if candidate.needs] == (
        [needs] if needs else []
    )


@pytest.mark.parametrize(
    ("ref", "token"),
    [
        ("black-forest-labs/FLUX.1-dev:ae.safetensors", "hf_standinTokenGranted"),
        ("standin-org/private-models:in_house.safetensors", "hf_standinTokenGranted"),
        ("standin-org/odd-paths:CON.safetensors", "revoked"),  # public: asked again without it
    ],
)
def test_what_the_token_may_read_is_chosen(hubs: Any, ref: str, token: str) -> None:
    resolution = resolve(hubs, on_hugging_face(ref), token)

    assert [chosen.grade for chosen in resolution.chosen] == ["B"]


def test_a_renamed_repository_is_found_and_told(hubs: Any) -> None:
    resolution = resolve(hubs, on_hugging_face("standin-org/old-name:renamed_model.safetensors"))

    assert resolution.chosen
    assert "new-name" in " ".join(resolution.chosen[0].evidence)


def test_three_files_of_one_generic_name_are_a_question(hubs: Any) -> None:
    name = "diffusion_pytorch_model.safetensors"
    base = "https://huggingface.co/standin-org"
    urls = (
        f"{base}/same-name-a/resolve/main/unet/{name}",
        f"{base}/same-name-a/resolve/main/vae/{name}",
        f"{base}/same-name-b/resolve/main/{name}",
    )

    resolution = resolve(hubs, Wanted("diffusion_models", name, urls))

    assert resolution.chosen == ()
    assert len(resolution.candidates) == 3


def test_an_interstitial_page_is_no_file(hubs: Any) -> None:
    url = f"{hubs.urls['web']}/files/gdrive_like.safetensors"

    resolution = resolve(hubs, Wanted("loras", "gdrive_like.safetensors", (url,)))

    assert resolution.why is not None
    assert resolution.why.code == "wrong-answer"


def test_a_name_that_only_the_answer_tells_is_read(hubs: Any) -> None:
    url = f"{hubs.urls['web']}/files/no_extension_hint"

    (candidate,) = resolve(hubs, Wanted("loras", "x.safetensors", (url,))).candidates

    assert candidate.filename.endswith(".safetensors")
    assert candidate.grade == "E"


@pytest.mark.parametrize(
    ("kind", "more", "code"),
    [
        ("server_error", {}, "source-unavailable"),
        ("server_error", {"code": 502, "html": True}, "source-unavailable"),
        ("rate_limited", {"retry_after": 9}, "rate-limited"),
        ("cloudflare", {"code": 403}, "source-unavailable"),
        ("cloudflare", {"code": 503}, "source-unavailable"),
        ("drop", {}, "source-unavailable"),
        ("html_page", {}, "wrong-answer"),
        ("not_found", {}, "source-missing"),
        ("gated", {"code": 401}, "login-needed"),
        ("gated", {"code": 403}, "login-needed"),
        ("redirect_loop", {}, "source-unavailable"),
    ],
)
def test_every_fault_of_the_hub_is_a_typed_outcome(
    hubs: Any, kind: str, more: dict[str, Any], code: str
) -> None:
    hubs.fault(host="hf", kind=kind, times=9, **more)
    try:
        resolution = resolve(hubs, on_hugging_face("standin-org/odd-paths:CON.safetensors"))
    finally:
        hubs.clear_faults()

    assert resolution.chosen == ()
    assert resolution.why is not None
    assert resolution.why.code == code
