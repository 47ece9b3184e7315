"""Hashes in a workflow's declarations that are no SHA-256."""

from __future__ import annotations

import pytest

from comfywatchman.analyze.declared import entries
from comfywatchman.domain.files import ShortHash
from comfywatchman.domain.references import Declared, ModelReference

SHA256 = "a5f58eb1c33616c4f06bca55af39876a7b817913cd829caa8acb111b770c85cc"


def declared(**record: object) -> Declared:
    (entry,) = entries([{"name": "x.safetensors", **record}], "models")
    return entry.declared


def told(one: Declared) -> tuple[ShortHash, ...]:
    reference = ModelReference("loras", "x", "x", "1", "LoraLoader", "lora", declared=(one,))
    return reference.told_hashes


@pytest.mark.parametrize(
    ("text", "kind"),
    [("A5F58EB1C3", "AutoV2"), ("a5f58eb1c336", "AutoV3"), ("a5f58eb1", "AutoV1")],
)
def test_a_short_hash_is_a_hint(text: str, kind: str) -> None:
    one = declared(hash=text, hash_type="SHA256")

    assert one.sha256 is None
    assert told(one) == (ShortHash(kind, text.lower()),)


@pytest.mark.parametrize("text", [SHA256[:-1], SHA256 + "0", "zzz", "g" * 64])
def test_what_is_no_hash_is_handed_on_as_it_stands(text: str) -> None:
    assert told(declared(hash=text)) == (ShortHash("SHA256", text[:80]),)


@pytest.mark.parametrize(
    "record",
    [
        {"hash": SHA256},
        {"hash": SHA256.upper(), "hash_type": "sha-256"},
        {},
        {"hash": ""},
        {"hash": None},
        {"hash": 7},
        {"hash": "d41d8cd98f00b204e9800998ecf8427e", "hash_type": "MD5"},
    ],
)
def test_nothing_else_is_told(record: dict[str, object]) -> None:
    assert told(declared(**record)) == ()
