"""Addresses as they are kept: without what belongs to somebody else."""

from __future__ import annotations

import pytest

from comfywatchman.domain.secrets import without_secrets


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://a.example/m.safetensors", "https://a.example/m.safetensors"),
        ("https://me:word@a.example/m?x=1", "https://a.example/m?x=1"),
        ("https://me:wo@rd@a.example/m", "https://a.example/m"),
        ("https://a.example/m?token=s", "https://a.example/m"),
        (
            "https://a.example/m?type=Model&Token=s&format=x",
            "https://a.example/m?type=Model&format=x",
        ),
        ("https://a.example/m?X-Amz-Signature=s&fileId=7#top", "https://a.example/m?fileId=7#top"),
        ("https://a.example/users/@me/m", "https://a.example/users/@me/m"),
        ("hf://owner/repo@main/m.safetensors", "hf://owner/repo@main/m.safetensors"),
        ("urn:air:sdxl:lora:civitai:1@2", "urn:air:sdxl:lora:civitai:1@2"),
    ],
)
def test_a_login_and_a_token_are_not_kept(url: str, kept: str) -> None:
    assert without_secrets(url) == kept
