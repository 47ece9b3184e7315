from __future__ import annotations

import pytest

from comfywatchman.domain.errors import HostNotAllowed, UrlRefused
from comfywatchman.net.policy import NetPolicy
from comfywatchman.net.urls import check_redirect, check_url, redact

POLICY = NetPolicy(
    allowed_hosts=("huggingface.co", "hf.co", "127.0.0.1", "localhost"),
    insecure_hosts=("mirror.lan", "127.0.0.1:8000", "[::1]:9000"),
)


@pytest.mark.parametrize(
    "url",
    [
        "https://huggingface.co/a/b/resolve/main/c.safetensors",
        "https://HuggingFace.co./a",
        "https://cdn-lfs.hf.co/x?Signature=abc",
        "https://huggingface.co:443/a b/c",  # blanks in a path are quoted later
        "http://mirror.lan/models/x.safetensors",
        "http://mirror.lan:8080/models/x.safetensors",
        "http://127.0.0.1:8000/x",
        "http://[::1]:9000/x",
    ],
)
def test_an_allowed_address_passes(url: str) -> None:
    check_url(url, POLICY)


@pytest.mark.parametrize(
    "url",
    [
        "http://huggingface.co/x",
        "ftp://huggingface.co/x",
        "file:///etc/passwd",
        "gopher://huggingface.co/",
        "javascript:alert(1)",
        "//huggingface.co/x",
        "huggingface.co/x",
        "",
        "https://",
        "https:///x",
        "https://huggingface.co:0/x",
        "https://user@huggingface.co/x",
        "https://user:secret@huggingface.co/x",
        "https://:@huggingface.co/x",
        "https://huggingface.co@127.0.0.1/x",
        "https://huggingface.co\\@127.0.0.1/x",
        "https://huggingface.co\\.evil.example/x",
        "https://hugging\tface.co/x",
        "https://huggingface.co\r\nX: y/",
        "https://huggingface.co%2eevil.example/x",
        "https://huggingface.co:99999/x",
        "https://huggingface.co:port/x",
        "https://127.0.0.1/x",
        "http://127.0.0.1:8001/x",  # the insecure one has another port
        "https://localhost/x",
        "https://LOCALHOST./x",
        "https://a.localhost/x",
        "https://printer.local/x",
        "https://metadata.google.internal/x",
        "https://127.1/x",
        "https://0/x",
        "https://0.0.0.0/x",
        "https://2130706433/x",
        "https://017700000001/x",
        "https://0x7f000001/x",
        "https://0x7f.0x0.0x0.0x1/x",
        "https://0177.0.0.1/x",
        "https://[::1]/x",
        "https://[::ffff:127.0.0.1]/x",
        "https://[::ffff:7f00:1]/x",
        "https://[0:0:0:0:0:0:0:1]/x",
        "https://[64:ff9b::7f00:1]/x",
        "https://[fe80::1%25eth0]/x",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/x",
        "https://192.168.0.1/x",
        "https://①②⑦.0.0.1/x",
        "https://ⓛocalhost/x",
        "https://127。0。0。1/x",
    ],
)
def test_an_address_that_leads_inside_or_is_not_plain_is_refused(url: str) -> None:
    with pytest.raises(UrlRefused):
        check_url(url, POLICY)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/x",
        "https://evilhuggingface.co/x",
        "https://huggingface.co.evil.example/x",
        "https://8.8.8.8/x",
    ],
)
def test_a_host_that_only_looks_like_an_allowed_one_is_not_allowed(url: str) -> None:
    with pytest.raises(HostNotAllowed):
        check_url(url, POLICY)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("https://huggingface.co/a", "http://127.0.0.1:8000/x"),
        ("https://huggingface.co/a", "https://mirror.lan/x"),
        ("https://huggingface.co/a", "https://[::1]:9000/x"),
        ("https://mirror.lan/a", "http://mirror.lan/x"),
        ("https://huggingface.co/a", "file:///etc/passwd"),
    ],
)
def test_a_redirect_leads_to_no_less_guarded_place_even_if_the_settings_name_it(
    before: str, after: str
) -> None:
    with pytest.raises(UrlRefused):
        check_redirect(before, after, POLICY)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("https://huggingface.co/a", "https://cdn-lfs.hf.co/x"),
        ("http://127.0.0.1:8000/a", "http://mirror.lan/x"),
        ("http://mirror.lan/a", "https://huggingface.co/x"),
    ],
)
def test_a_redirect_leads_to_a_place_that_is_as_guarded(before: str, after: str) -> None:
    check_redirect(before, after, POLICY)


def test_no_error_tells_a_query_or_a_password() -> None:
    with pytest.raises(UrlRefused) as caught:
        check_url("https://me:hunter2@huggingface.co/x?token=s3cret#also", POLICY)

    assert "hunter2" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://h/p?a=b", "https://h/p?***"),
        ("at https://u:p@h/p#f.", "at https://***@h/p#***"),
        ("https://h/p", "https://h/p"),
        ("Authorization: Bearer abcdefgh12", "Authorization: ***"),
        ("hf_abcdefghijk", "***"),
        ("https://h/a?x=https://i/b?y", "https://h/a?***"),
    ],
)
def test_addresses_are_shown_without_what_may_be_secret(text: str, shown: str) -> None:
    assert redact(text) == shown
