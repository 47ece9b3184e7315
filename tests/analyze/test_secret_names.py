"""Fields for secrets, however they are called, and what stands there that is none."""

from __future__ import annotations

import json
from io import BytesIO

import pytest

from comfywatchman.analyze.formats import Limits, read_workflow
from comfywatchman.analyze.keynames import is_keyish, is_password
from tests.analyze.building import SHIPPED, Json, graph, node

TOKEN = "hf_" + "aB3" * 12
KEY = "0123456789abcdef" * 2
FILLING = {"extra": {"note": "a street in the rain. " * 400}}
"""Makes a file so large that it is not searched as a whole."""


def found(workflow: Json) -> list[tuple[str, str]]:
    source = BytesIO(json.dumps(workflow).encode())
    content = read_workflow(source, "w.json", SHIPPED, Limits(), findings=True)
    return [(each.code, each.pointer) for each in content.findings]


def with_property(name: str, value: str) -> Json:
    return graph(node(1, "X", properties={name: value}))


@pytest.mark.parametrize(
    "name",
    [
        "api_key", "apiKey", "API-KEY", "accessToken", "openaiKey", "secretKey", "civitai_api",
        "civitai_key", "hf_token", "HF_TOKEN", "token", "auth_token", "api_key_2", "apikey",
    ],
)  # fmt: skip
@pytest.mark.parametrize("more", [{}, FILLING], ids=["small", "larger"])
def test_fields_for_secrets_are_known_in_every_spelling(name: str, more: Json) -> None:
    assert found({**with_property(name, "aB3" * 9), **more}) == [
        ("secret", f"/nodes/0/properties/{name}")
    ]


@pytest.mark.parametrize(
    "name",
    [
        "trigger_token", "token_merging", "token_normalization", "api_key_env", "password_mode",
        "password_file", "max_tokens", "token_count", "monkey", "keyframe", "key",
    ],
)  # fmt: skip
def test_fields_with_such_a_word_that_hold_something_else_are_not(name: str) -> None:
    assert not is_keyish(name)
    assert not is_password(name)
    assert found(with_property(name, "aB3" * 9)) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("password", "None"), ("password", "false"), ("password", "disabled"),
        ("password", "********"), ("password", "${PASSWORD}"), ("password", "YOUR_PASSWORD_HERE"),
        ("token", "ohwx_woman_style_v2"), ("token", "random_2d_strategy"),
        ("api_key", "OPENAI_API_KEY_NAME"), ("api_key", "YOUR_API_KEY_HERE_PLEASE"),
        ("api_key", "<put-your-own-key-here>"), ("note", f"comfyui-{KEY}.png"),
        ("url", "https://example.org/a?token={token_here}"),
        ("url", "https://example.org/a?token=YOUR_TOKEN_HERE"),
    ],
)  # fmt: skip
def test_what_stands_in_the_place_of_a_secret_is_none(name: str, value: str) -> None:
    assert found(with_property(name, value)) == []
    assert found({"1": {"class_type": "X", "inputs": {name: value}}}) == []


def test_a_password_of_words_is_one() -> None:
    assert found(with_property("password", "correct-horse")) == [
        ("secret", "/nodes/0/properties/password")
    ]


@pytest.mark.parametrize(
    ("part", "pointer"),
    [
        ({"nodes": [{**node(1, "X"), "title": f"use {TOKEN}"}]}, "/nodes/0/title"),
        ({"groups": [{"title": f"HF token: {TOKEN}"}]}, "/groups/0/title"),
        ({"config": {"note": f"a b {TOKEN}"}}, "/config/note"),
        ({"nodes": [node(1, "X", properties={"a": {"b": TOKEN}})]}, "/nodes/0/properties/a/b"),
        ({"nodes": [node(1, "X", {"a": [TOKEN]})]}, "/nodes/0/widgets_values/0/a/0"),
        ({"nodes": [node(1, "X", f"a {TOKEN} b")]}, "/nodes/0/widgets_values/0"),
        ({"nodes": [{**node(1, "X"), "unheard_of": TOKEN}]}, "/nodes/0/unheard_of"),
        ({"unheard_of": TOKEN}, "/unheard_of"),
        ({"nodes": [node(1, "X", inputs=[{"name": "a", "link": None, "label": TOKEN}])]},
         "/nodes/0/inputs/0/label"),
        ({"nodes": [{**node(1, "X"), "outputs": [{"name": "a", "label": TOKEN}]}]},
         "/nodes/0/outputs/0/label"),
        ({"nodes": [node(1, "X", properties={"password": "hunter2"})]},
         "/nodes/0/properties/password"),
        ({"nodes": [node(1, "X", "-----BEGIN RSA PRIVATE KEY-----\nMII")]},
         "/nodes/0/widgets_values/0"),
        ({"models": [{"name": "a", "url": "https://u:hunter2x@x.org/a"}]}, "/models/0/url"),
    ],
)  # fmt: skip
def test_a_larger_file_is_searched_where_texts_are(part: Json, pointer: str) -> None:
    workflow = {**graph(node(1, "X")), **FILLING, **part}

    assert found(workflow) == [("secret", pointer)]
    assert found(workflow) == [("secret", pointer)]  # what was seen once is not taken for harmless


def test_a_huge_file_that_only_names_tokens_holds_none() -> None:
    many = [{"api_key": str(number)} for number in range(600_000)]

    assert found({**graph(node(1, "X")), "extra": {"k": many}}) == []
    assert found({**graph(node(1, "X")), "extra": {"k": [*many, TOKEN]}}) == [("secret", "/extra")]


LARGER = "x" * 4_000


@pytest.mark.parametrize(
    ("text", "pointers"),
    [
        ('{"1": {"class_type": "X", "inputs": {"a": "x", "a": "y"}}}', ["/1/inputs/a"]),
        ('{"nodes": [{"id": 1, "type": "X", "mode": 0, "mode": 4}], "version": 1}',
         ["/nodes/0/mode"]),
        ('{"nodes": [{"id": 1, "id": 2, "type": "X", "type": "Y"}], "version": 1}',
         ["/nodes/0/id", "/nodes/0/type"]),
        ('{"nodes": [{"id": 1, "type": "X", "properties": {"a": 1, "a": 2}}], "version": 1}',
         ["/nodes/0/properties/a"]),
        ('{"nodes": [{"id": 1, "type": "X", "widgets_values": {"a": 1, "a": 2}}], "version": 1}',
         ["/nodes/0/widgets_values/a"]),
        ('{"n\\u006fdes": [], "nodes": [{"id": 1, "type": "X"}], "version": 1}', ["/nodes"]),
        ('{"nodes": [{"id": 1, "type": "X", "mode": 0, "mode": 4, "title": "' + LARGER
         + '"}], "version": 1}', ["/nodes/0/mode"]),
    ],
)  # fmt: skip
def test_a_key_that_is_there_twice_is_told(text: str, pointers: list[str]) -> None:
    content = read_workflow(BytesIO(text.encode()), "w.json", SHIPPED, Limits(), findings=True)

    assert [each.pointer for each in content.findings if each.code == "duplicate-key"] == pointers


@pytest.mark.parametrize("name", ["title", "properties"])
def test_a_secret_in_the_value_that_is_lost_is_told(name: str) -> None:
    text = f'{{"nodes": [{{"id": 1, "type": "X", "{name}": "{TOKEN}", "{name}": null}}]}}'
    content = read_workflow(BytesIO(text.encode()), "w.json", SHIPPED, Limits(), findings=True)

    assert ("secret", f"/nodes/0/{name}") in [(e.code, e.pointer) for e in content.findings]


@pytest.mark.parametrize("more", [{}, FILLING], ids=["small", "larger"])
def test_a_short_key_is_known_by_its_name_wherever_it_stands(more: Json) -> None:
    key = "abcd1234efgh5678"
    workflow = graph(node(1, "X", properties={"api_key": key, "keyframe": key}))
    extra = {**more.get("extra", {}), "service": {"access_token": key}, "token_merging": key}

    told = found({**workflow, "extra": extra})

    assert sorted(told) == [
        ("secret", "/extra/service/access_token"),
        ("secret", "/nodes/0/properties/api_key"),
    ]


def test_a_short_key_in_what_was_sent_along_with_a_prompt_is_known() -> None:
    prompt = {"1": {"class_type": "X", "inputs": {}}}
    sent = {"prompt": prompt, "extra_data": {"api_key_comfy_org": "abcd1234efgh5678"}}

    assert found(sent) == [("secret", "/extra_data/api_key_comfy_org")]
