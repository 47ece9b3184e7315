from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from comfywatchman.demo.hub import Hub
from comfywatchman.demo.templates import Templates
from comfywatchman.domain.candidates import Wanted
from comfywatchman.domain.errors import SettingsInvalid
from comfywatchman.resolve.backend import SearchBackend, ask
from comfywatchman.resolve.catalog import Catalog, entries_of, shipped
from comfywatchman.resolve.huggingface import HuggingFace
from comfywatchman.resolve.known import CatalogBackend, WorkflowBackend
from comfywatchman.resolve.published import ByHost, Remembering
from comfywatchman.resolve.ranking import choose
from comfywatchman.resolve.urls import Endpoints
from comfywatchman.resolve.web import Web
from scripts.build_catalog import CATALOG, main, workflows, written
from tests.resolve.plain_ask import PlainAsk

SFT = "moss_image_sft_int8_convrot.safetensors"
BASE_URL = (
    "https://huggingface.co/Comfy-Org/MOSS-Image/resolve/main/diffusion_models/"
    "moss_image_base_int8_convrot.safetensors"
)


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with Hub.from_declared(Templates.installed().declared_urls(), sizes=(2000, 3000)) as hub:
        yield hub


def test_the_shipped_catalog_is_what_the_templates_give() -> None:
    assert written(list(workflows())) == CATALOG.read_bytes()
    assert main(["--check"]) == 0


def test_every_model_that_an_official_template_declares_is_in_the_catalog() -> None:
    catalog = Catalog.read()
    declared = {
        (model.folder, model.name)
        for template in Templates.installed()
        for model in template.models()
    }

    assert len(declared) > 300
    assert [key for key in sorted(declared) if not catalog.sources(*key)] == []


def test_the_catalog_is_one_entry_a_line_without_presentation_in_its_addresses() -> None:
    lines = CATALOG.read_text().splitlines()

    assert len(lines) == len(entries_of(shipped(), "")) + 2
    assert all(json.loads(line.removesuffix(",")) for line in lines[1:-1])
    assert "download=true" not in CATALOG.read_text()


def test_old_folder_names_find_the_same_entry() -> None:
    catalog = Catalog.read()

    assert catalog.sources("unet", SFT) == catalog.sources("diffusion_models", SFT) != ()


def test_every_official_model_resolves_from_its_template_to_the_file_of_its_name(
    hub: Hub,
) -> None:
    endpoints = Endpoints(huggingface=hub.url)
    asking = PlainAsk()
    publisher = Remembering(
        ByHost(HuggingFace(asking, endpoints), Web(asking, endpoints)), clock=lambda: 0.0
    )
    backends: list[SearchBackend] = [
        WorkflowBackend(publisher, endpoints),
        CatalogBackend(Catalog.read(), publisher),
    ]
    questions = {
        (model.folder, model.name, model.url)
        for template in Templates.installed()
        for model in template.models()
    }

    wrong = []
    for folder, name, url in sorted(questions):
        wanted = Wanted(folder, name, (url,))
        chosen = choose(ask(backends, wanted, lambda _: None), wanted).chosen
        if not chosen or (chosen[0].filename != name and name != _SAVED_UNDER_ANOTHER_NAME):
            wrong.append((folder, name, url))
    asked = [url for _, url in asking.asked]

    assert wrong == []
    assert len(asked) == len(set(asked)), "a question was asked twice"


_SAVED_UNDER_ANOTHER_NAME = "Qwen_Image_Edit_2511-SYSTMS_INFL8.safetensors"


def test_the_template_that_gives_the_wrong_address_gets_the_file_of_the_right_name(
    hub: Hub,
) -> None:
    endpoints = Endpoints(huggingface=hub.url)
    publisher = HuggingFace(PlainAsk(), endpoints)
    backends: list[SearchBackend] = [
        WorkflowBackend(publisher, endpoints),
        CatalogBackend(Catalog.read(), publisher),
    ]
    wanted = Wanted("diffusion_models", SFT, (BASE_URL,))

    resolution = choose(ask(backends, wanted, lambda _: None), wanted)

    assert {chosen.filename for chosen in resolution.chosen} == {SFT}
    assert {chosen.sha256 for chosen in resolution.chosen} == {hub.named(SFT).sha256}


def test_the_users_own_entries_come_before_the_shipped_ones(tmp_path: Path) -> None:
    own = tmp_path / "catalog.json"
    mine = "https://example.org/mine/ae.safetensors"
    entries = [{"folder": "vae", "name": "ae.safetensors", "sources": [{"url": mine}]}]
    own.write_text(json.dumps({"format": 1, "entries": entries}))

    sources = Catalog.read(own).sources("vae", "ae.safetensors")

    assert sources[0].url == mine
    assert len(sources) > 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": 2, "entries": []}',
        '{"format": 1, "entries": [{"folder": "vae", "name": 3, "sources": []}]}',
        '{"entries": [{"folder": "vae", "name": "a", "sources": [{"url": "ftp://x/a"}]}]}',
        '{"entries": [{"folder": "v", "name": "a", "sources": [{"url": "", "sha256": "1"}]}]}',
    ],
)
def test_a_catalog_that_cannot_be_read_is_named(tmp_path: Path, text: str) -> None:
    own = tmp_path / "catalog.json"
    own.write_text(text)

    with pytest.raises(SettingsInvalid) as invalid:
        Catalog.read(own)

    assert str(own) in invalid.value.cause


def test_a_catalog_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid):
        Catalog.read(tmp_path / "none.json")
