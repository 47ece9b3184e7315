from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfywatchman.domain.errors import UrlRefused
from comfywatchman.resolve.urls import Endpoints, HubFile, canonical

FILE = "https://huggingface.co/owner/repo/resolve/main/dir/a.safetensors"


@pytest.mark.parametrize(
    "written",
    [
        FILE,
        FILE + "?download=true",
        FILE + "#top",
        "https://huggingface.co/owner/repo/blob/main/dir/a.safetensors",  # 33 links in notes
        "https://huggingface.co/owner/repo/raw/main/dir/a.safetensors",
        "http://huggingface.co/owner/repo/resolve/main/dir/a.safetensors",
        "https://www.huggingface.co/owner/repo/resolve/main/dir/a.safetensors",
        "https://hf.co/owner/repo/resolve/main/dir/a.safetensors",
        "https://hf-mirror.com/owner/repo/resolve/main/dir/a.safetensors",
        "HTTPS://HuggingFace.co:443/owner/repo/resolve/main//dir/a.safetensors ",
    ],
)
def test_every_spelling_of_a_file_on_hugging_face_is_one_address(written: str) -> None:
    assert canonical(written) == FILE


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (
            "https://huggingface.co/datasets/o/r/resolve/main/a.pth",
            "https://huggingface.co/datasets/o/r/resolve/main/a.pth",
        ),
        (
            "https://huggingface.co/spaces/o/r/blob/main/a.pth",
            "https://huggingface.co/spaces/o/r/resolve/main/a.pth",
        ),
        (
            "https://huggingface.co/o/r/resolve/refs%2Fpr%2F1/a.pth",
            "https://huggingface.co/o/r/resolve/refs%2Fpr%2F1/a.pth",
        ),
        (
            "https://huggingface.co/o/r/blob/refs/pr/1/d/a.pth",
            "https://huggingface.co/o/r/resolve/refs%2Fpr%2F1/d/a.pth",
        ),
        (
            "https://huggingface.co/gpt2/resolve/main/model.safetensors",
            "https://huggingface.co/gpt2/resolve/main/model.safetensors",
        ),
        (
            "https://huggingface.co/o/resolve/resolve/main/a.pth",  # a repository of that name
            "https://huggingface.co/o/resolve/resolve/main/a.pth",
        ),
        (
            "https://huggingface.co/o/r/resolve/main/größe 1+2.pth",
            "https://huggingface.co/o/r/resolve/main/gr%C3%B6%C3%9Fe%201%2B2.pth",
        ),
        ("https://huggingface.co/o/r?tab=files", "https://huggingface.co/o/r"),
        (
            "https://www.civitai.com/api/download/models/1?type=Model&token=SECRET",
            "https://civitai.com/api/download/models/1?type=Model",
        ),
        (
            "https://civitai.red/api/download/models/1",
            "https://civitai.red/api/download/models/1",
        ),
        (
            "https://github.com/o/r/blob/main/weights/a.pth",
            "https://github.com/o/r/raw/main/weights/a.pth",
        ),
        (
            "https://cdn.example.org:8443/a%20b.pth?v=2&X-Amz-Signature=abc#frag",
            "https://cdn.example.org:8443/a%20b.pth?v=2",
        ),
    ],
)
def test_an_address_has_one_form_without_secrets(written: str, expected: str) -> None:
    assert canonical(written) == expected


@pytest.mark.parametrize(
    "written",
    [
        "",
        "a.safetensors",
        "ftp://example.org/a.pth",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://user:password@example.org/a.pth",
        "https://token@huggingface.co/o/r/resolve/main/a.pth",
        "https:///a.pth",
        "https://example.org:0/a.pth",
        "https://example.org:99999/a.pth",
        "https://[::1/a.pth",
        "https://example.org/a\r\nHost: other/b.pth",
        "https://example.org/" + "a" * 5000,
    ],
)
def test_what_is_no_plain_web_address_is_refused(written: str) -> None:
    with pytest.raises(UrlRefused) as refused:
        canonical(written)

    assert "password" not in refused.value.cause


@given(st.text(max_size=60))
def test_the_canonical_form_of_a_canonical_address_is_itself(path: str) -> None:
    for base in ("https://huggingface.co/", "https://example.org/a?", FILE + "/"):
        try:
            once = canonical(base + path)
        except UrlRefused:
            continue
        assert canonical(once) == once


def test_a_path_that_climbs_names_no_file() -> None:
    assert HubFile.from_url("https://huggingface.co/o/r/resolve/main/../../x/y.pth") is None


def test_official_hosts_are_asked_at_the_configured_endpoints() -> None:
    endpoints = Endpoints("http://127.0.0.1:9/hf/", "http://127.0.0.1:8")

    assert endpoints.ask_at(FILE) == FILE.replace("https://huggingface.co", "http://127.0.0.1:9/hf")
    assert (
        endpoints.ask_at("https://civitai.red/api/download/models/1?type=Model")
        == "http://127.0.0.1:8/api/download/models/1?type=Model"
    )
    assert endpoints.ask_at("https://example.org/a") == "https://example.org/a"


def test_without_settings_every_host_is_asked_at_itself() -> None:
    for url in (FILE, "https://civitai.red/models/1", "https://civitai.com/models/1"):
        assert Endpoints().ask_at(url) == url


def test_an_address_at_the_configured_endpoint_is_the_official_hosts() -> None:
    endpoints = Endpoints(huggingface="http://127.0.0.1:9")
    mirrored = "http://127.0.0.1:9/owner/repo/blob/main/dir/a.safetensors"

    assert endpoints.canonical(mirrored) == FILE


def test_the_api_of_github_is_asked_where_the_settings_say() -> None:
    own = Endpoints(github_api="http://127.0.0.1:1")

    assert own.ask_at("https://api.github.com/repos/o/r") == "http://127.0.0.1:1/repos/o/r"
    assert own.ask_at("https://github.com/o/r") == "https://github.com/o/r"
