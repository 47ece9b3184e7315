from __future__ import annotations

import pytest

from comfywatchman.domain.errors import UrlRefused
from comfywatchman.resolve.air import Air
from comfywatchman.resolve.civitai_places import COM, RED, CivitaiPlace, download_url, page_url
from comfywatchman.resolve.urls import Endpoints, canonical


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://civitai.com/models/12", CivitaiPlace(COM, 12)),
        ("https://civitai.com/models/12/a-slug", CivitaiPlace(COM, 12)),
        ("https://civitai.com/models/12/a-slug/", CivitaiPlace(COM, 12)),
        ("https://civitai.com/models/12?modelVersionId=34", CivitaiPlace(COM, 12, 34)),
        ("https://www.civitai.com/models/12?modelVersionId=34", CivitaiPlace(COM, 12, 34)),
        ("https://civitai.red/models/12/x?modelVersionId=34", CivitaiPlace(RED, 12, 34)),
        ("https://civitai.green/models/12", CivitaiPlace(COM, 12)),
        ("https://civitai.com/model-versions/34", CivitaiPlace(COM, None, 34)),
        ("https://civitai.com/api/v1/model-versions/34", CivitaiPlace(COM, None, 34)),
        ("https://civitai.com/api/v1/models/12", CivitaiPlace(COM, 12)),
        ("https://civitai.com/api/download/models/34", CivitaiPlace(COM, None, 34)),
        (
            "https://civitai.com/api/download/models/34?fileId=56&token=secret",
            CivitaiPlace(COM, None, 34, 56),
        ),
        (
            "https://civitai.com/api/download/models/34?type=Model&format=SafeTensor&size=full&fp=fp16",
            CivitaiPlace(
                COM, None, 34, None,
                (("type", "Model"), ("format", "SafeTensor"), ("size", "full"), ("fp", "fp16")),
            ),
        ),
        ("urn:air:sdxl:checkpoint:civitai:12@34", CivitaiPlace(COM, 12, 34)),
        ("urn:air:sdxl:lora:CIVITAI:12@34.safetensors", CivitaiPlace(COM, 12, 34)),
        ("URN:AIR:flux1:lora:civitai:12@34+56", CivitaiPlace(COM, None, 34, 56)),
        ("urn:air:sdxl:checkpoint:civitai:12", CivitaiPlace(COM, 12)),
    ],
)  # fmt: skip
def test_every_way_to_name_a_model_is_read(url: str, place: CivitaiPlace) -> None:
    assert CivitaiPlace.from_url(canonical(url)) == place
    assert canonical(canonical(url)) == canonical(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://civitai.com/",
        "https://civitai.com/models",
        "https://civitai.com/models/abc",
        "https://civitai.com/models/0",
        "https://civitai.com/models/99999999999",  # no int4
        "https://civitai.com/models/4294967296",
        "https://civitai.com/images/12",
        "https://civitai.com/user/12/models",
        "https://civitai.com.evil.example/models/12",
        "https://example.org/models/12",
    ],
)
def test_what_names_no_model_is_none(url: str) -> None:
    assert CivitaiPlace.from_url(canonical(url)) is None


@pytest.mark.parametrize(
    "text",
    [
        "urn:air:sdxl:checkpoint:huggingface:org/repo",
        "urn:air:sdxl:checkpoint:civitai:foo",
        "urn:air:sdxl:checkpoint:civitai:1@2@3",
        "urn:air:sdxl:checkpoint:civitai:1@",
        "urn:air:sdxl:civitai:1@2",
        "urn:air:" + "a" * 5000,
        "urn:air:sdxl:checkpoint:civitai:1@2?token=x",
    ],
)
def test_a_resource_name_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(UrlRefused):
        Air.read(text)
    with pytest.raises(UrlRefused):
        canonical(text)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("hf://owner/repo/dir/a b.pth", "https://huggingface.co/owner/repo/resolve/main/dir/a%20b.pth"),
        ("hf://owner/repo@v1.0/a.pth", "https://huggingface.co/owner/repo/resolve/v1.0/a.pth"),
        (
            "hf://owner/repo@refs%2Fpr%2F1/a.pth",
            "https://huggingface.co/owner/repo/resolve/refs%2Fpr%2F1/a.pth",
        ),
        (
            "hf://datasets/owner/repo/a.pth",
            "https://huggingface.co/datasets/owner/repo/resolve/main/a.pth",
        ),
        ("hf://owner/repo", "https://huggingface.co/owner/repo"),
    ],
)  # fmt: skip
def test_the_short_form_of_a_hub_file_is_read(text: str, url: str) -> None:
    assert canonical(text) == url


def test_a_file_is_always_named_by_its_id() -> None:
    assert download_url(COM, 34, 56) == "https://civitai.com/api/download/models/34?fileId=56"
    assert page_url(RED, 12, 34) == "https://civitai.red/models/12?modelVersionId=34"


def test_both_fronts_are_asked_at_an_endpoint_of_ones_own() -> None:
    own = Endpoints(civitai="http://127.0.0.1:1")

    assert own.ask_at("https://civitai.red/models/1") == "http://127.0.0.1:1/models/1"
    assert own.ask_at("https://civitai.com/models/1") == "http://127.0.0.1:1/models/1"
    assert not own.has_two_fronts
    assert Endpoints().ask_at("https://civitai.red/models/1") == "https://civitai.red/models/1"
    assert Endpoints().has_two_fronts
