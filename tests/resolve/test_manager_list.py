from __future__ import annotations

import json
from typing import Any

import pytest

from comfywatchman.domain.errors import RateLimited, SourceUnavailable, WrongAnswer
from comfywatchman.resolve.catalog import Catalog, CatalogEntry, CatalogSource, Together
from comfywatchman.resolve.manager_list import MANAGER_LIST, entries_of_list, fetch_list
from tests.resolve.plain_ask import Replies, scripted

URL = "https://huggingface.co/o/r/resolve/main/nice.safetensors"


def entry(**more: Any) -> dict[str, Any]:
    return {
        "name": "Nice", "type": "checkpoint", "base": "SDXL", "save_path": "default",
        "description": "", "reference": "", "filename": "nice.safetensors", "url": URL,
        "size": "4.71MB", **more,
    }  # fmt: skip


def read(*entries: object) -> dict[tuple[str, str], tuple[str, ...]]:
    found = entries_of_list(json.dumps({"models": entries}).encode())
    return {(e.folder, e.name): tuple(s.url for s in e.sources) for e in found}


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ({}, {("checkpoints", "nice.safetensors")}),
        ({"type": "VAE"}, {("vae", "nice.safetensors")}),
        ({"type": "upscale"}, {("upscale_models", "nice.safetensors")}),
        ({"type": "unet"}, {("diffusion_models", "nice.safetensors")}),
        ({"save_path": "sams"}, {("sams", "nice.safetensors")}),
        ({"save_path": "ultralytics/bbox"}, {("ultralytics/bbox", "nice.safetensors")}),
        ({"save_path": "clip"}, {("text_encoders", "nice.safetensors")}),
        (
            {"save_path": "loras/SDXL-Lightning"},
            {("loras", "SDXL-Lightning/nice.safetensors"), ("loras", "nice.safetensors")},
        ),
        ({"type": "something new"}, set()),
        ({"save_path": "custom_nodes/x/models"}, set()),
        ({"save_path": "../x"}, set()),
        ({"save_path": "/etc"}, set()),
        ({"filename": "<huggingface>", "url": "o/r"}, set()),
        ({"filename": "a/b.pth"}, set()),
        ({"filename": ""}, set()),
        ({"url": "not an address"}, set()),
        # twelve of its names are those of many different files
        ({"filename": "diffusion_pytorch_model.safetensors"}, set()),
    ],
)
def test_an_entry_is_known_by_folder_and_name(
    more: dict[str, Any], names: set[tuple[str, str]]
) -> None:
    assert set(read(entry(**more))) == names


def test_several_addresses_of_one_name_stay_together() -> None:
    other = "https://github.com/o/r/releases/download/v1/nice.safetensors"

    assert read(entry(), entry(url=other), entry()) == {
        ("checkpoints", "nice.safetensors"): (URL, other)
    }


def test_the_page_of_a_file_becomes_the_file() -> None:
    assert read(entry(url=URL.replace("/resolve/", "/blob/"))) == {
        ("checkpoints", "nice.safetensors"): (URL,)
    }


def test_an_entry_that_cannot_be_read_costs_only_itself() -> None:
    assert len(read(entry(), None, 5, {}, entry(url=7), entry(filename=None))) == 1


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"models": 5}', b"[" * 99_999, b"\xff"])
def test_what_is_no_list_is_a_wrong_answer(body: bytes) -> None:
    with pytest.raises(WrongAnswer):
        entries_of_list(body)


def test_the_list_is_fetched_with_the_mark_of_its_version() -> None:
    body = json.dumps({"models": [entry()]}).encode()
    replies = Replies({MANAGER_LIST: (200, body, {"ETag": '"two"'})})

    fetched = fetch_list(replies, etag='"one"')

    assert fetched is not None
    assert (fetched.body, fetched.etag) == (body, '"two"')
    assert replies.calls[0]["headers"] == {"Accept-Encoding": "identity", "If-None-Match": '"one"'}


def test_a_list_that_did_not_change_is_not_sent_again() -> None:
    assert fetch_list(scripted(304), etag='"one"') is None


@pytest.mark.parametrize("status", [404, 500, 429, 302])
def test_a_list_that_is_not_given_out_is_asked_for_later(status: int) -> None:
    with pytest.raises((SourceUnavailable, RateLimited)) as later:
        fetch_list(scripted(status))

    assert later.value.retryable


def test_a_page_in_place_of_the_list_is_a_wrong_answer() -> None:
    with pytest.raises(WrongAnswer):
        fetch_list(scripted(200, {}, b"<html>"))


def test_several_who_know_places_are_asked_in_turn() -> None:
    first = CatalogSource("https://x.org/1", "1" * 64)
    one = Catalog([CatalogEntry("vae", "a.pt", (first,))])
    two = Catalog([CatalogEntry("vae", "a.pt", (CatalogSource("https://x.org/2"), first))])

    both = Together(one, two)

    assert [s.url for s in both.sources("vae", "a.pt")] == ["https://x.org/1", "https://x.org/2"]
    assert [s.url for s in both.with_sha256("1" * 64)] == ["https://x.org/1"]
