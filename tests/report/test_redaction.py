from __future__ import annotations

import pytest

from comfywatchman.report.redaction import HIDDEN, Redaction, redacted, tells_a_secret

SECRET = "s3cr3tTokenValue42"


@pytest.mark.parametrize(
    "text",
    [
        f"https://civitai.com/api/download/models/1?token={SECRET}",
        f"/api/download/models/1?type=Model&token={SECRET} HTTP/1.1",
        f"https://host.example/x?key={SECRET}#end",
        f"https://cdn.example/x?X-Amz-Signature={SECRET}&X-Amz-Date=1",
        f"https://cdn.example/x?Expires=1&Signature={SECRET}&Key-Pair-Id={SECRET}",
        f"https://user:{SECRET}@host.example/x",
        f"Authorization: Bearer {SECRET}",
        f"{{'Authorization': 'Bearer {SECRET}'}}",
        f"{{'X-Api-Key': '{SECRET}'}}",
        f'{{"token": "{SECRET}"}}',
        f"Cookie: session={SECRET}; other=1",
        f"cannot use hf_{SECRET} here",
    ],
)
def test_a_secret_in_a_text_is_hidden(text: str) -> None:
    assert SECRET not in redacted(text)
    assert HIDDEN in redacted(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://huggingface.co/owner/repo/resolve/main/model.safetensors?download=true",
        "ab" * 32,
        "basic_model.safetensors and bearer of bad news",
        "loras/token_compression.safetensors",
        "mailto someone@example.org",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redacted(text) == text


def test_a_secret_known_by_its_value_is_hidden_anywhere() -> None:
    assert Redaction((SECRET,)).text(f"x{SECRET}y") == f"x{HIDDEN}y"


def test_a_known_secret_of_a_few_letters_does_not_blank_out_every_line() -> None:
    assert Redaction(("a", "")).text("a banana") == "a banana"


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        ("Authorization", True),
        ("x-api-key", True),
        ("civitai_token", True),
        ("set-cookie", True),
        ("token_file", False),
        ("name", False),
        ("tokenizer", False),
    ],
)
def test_a_field_is_known_by_its_name(key: str, secret: bool) -> None:
    assert tells_a_secret(key) is secret
