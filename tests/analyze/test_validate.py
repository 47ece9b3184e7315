from __future__ import annotations

import json
from io import BytesIO

import pytest

from comfywatchman.analyze.formats import Limits, read_workflow
from comfywatchman.domain.references import Severity
from tests.analyze.building import (
    SHIPPED,
    Json,
    definition,
    findings,
    from_input,
    graph,
    node,
    places,
    socket,
    with_subgraphs,
)

TOKEN = "hf_" + "aB3" * 12
KEY = "0123456789abcdef" * 2


def at(workflow: object, pointer: str) -> object:
    """Return what a JSON pointer points at."""
    value: object = workflow
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        value = value[int(key)] if isinstance(value, list) else value[key]  # type: ignore[index]  # a test
    return value


def test_a_sound_workflow_has_no_findings() -> None:
    inner = definition(
        "S", node(3, "VAELoader", "v.safetensors", inputs=[socket("vae_name", 1)]),
        links=[from_input(1, 0, 3)], inputs=["vae_name"],
    )  # fmt: skip
    linked = node(2, "VAEDecode", inputs=[{"name": "vae", "type": "VAE", "link": 7}])
    workflow = graph(
        node(1, "S", "v.safetensors"), linked, links=[[7, 1, 0, 2, 0, "VAE"]],
        **with_subgraphs(inner),
    )  # fmt: skip

    assert findings(workflow) == []


def test_nobody_looks_unless_asked() -> None:
    workflow = graph(node(1, "X"), node(1, "X"))

    content = read_workflow(BytesIO(json.dumps(workflow).encode()), "w", SHIPPED, Limits())

    assert content.findings == ()


@pytest.mark.parametrize(
    ("workflow", "found"),
    [
        (graph(node(1, "X"), node(1, "Y")), ("duplicate-id", "/nodes/1/id")),
        (graph(node(1, "X"), links=[[4, 1, 0, 9, 0, "X"]]), ("dangling-link", "/links/0")),
        (
            graph(node(1, "X", inputs=[{"name": "a", "link": 5}])),
            ("dangling-link", "/nodes/0/inputs/0/link"),
        ),
        ({**graph(node(1, "X")), "version": 3}, ("unknown-version", "/version")),
        (
            graph(node(1, "11111111-2222-3333-4444-555555555555")),
            ("missing-subgraph", "/nodes/0/type"),
        ),
        (
            graph(node(1, "VAELoader", "a.pt", properties={"models": [{"name": "b.pt"}]})),
            ("stale-model", "/nodes/0/properties/models/0"),
        ),
        (graph(node(1, "X", 5, TOKEN)), ("secret", "/nodes/0/widgets_values/1")),
        (graph(node(1, "X"), extra={"a/b": [TOKEN]}), ("secret", "/extra/a~1b/0")),
        ({"1": {"class_type": "X", "inputs": {"a": ["7", 0]}}}, ("dangling-link", "/1/inputs/a")),
        ({"1": {"class_type": "X", "inputs": {"a": TOKEN}}}, ("secret", "/1/inputs/a")),
        (
            {"workflow": graph(node(1, "X", TOKEN))},
            ("secret", "/workflow/nodes/0/widgets_values/0"),
        ),
        (
            graph(node(1, "S"), **with_subgraphs(definition("S", node(2, "X"), node(2, "X")))),
            ("duplicate-id", "/definitions/subgraphs/0/nodes/1/id"),
        ),
        (graph(node(2, "X"), node("2", "Y")), ("duplicate-id", "/nodes/1/id")),
        (
            graph(node(1, "X"), node(2, "Y"), links=[[4, 1, 0, 2, 0, "X"], [4, 1, 0, 2, 0, "X"]]),
            ("duplicate-id", "/links/1"),
        ),
        (
            graph(node(1, "X"), links=[[1, 1, 0, 1, 0, "X"], ["1", 1, 0, 1, 1, "X"]]),
            ("duplicate-id", "/links/1"),
        ),
        (
            graph(
                node(1, "X"),
                node(2, "Y", inputs=[{"name": "a", "link": 4}]),
                node(3, "Y"),
                links=[[4, 1, 0, 3, 0, "X"]],
            ),
            ("crossed-link", "/nodes/1/inputs/0/link"),
        ),
        (
            graph(node(1, "S"), **with_subgraphs(definition("S"), definition("S"))),
            ("duplicate-id", "/definitions/subgraphs/1/id"),
        ),
        (
            graph(
                node(1, "X"),
                node(2, "Y", inputs=[{"name": "a", "link": 4}]),
                links=[[4, 1, 0, 2, 7, "X"]],
            ),
            ("dangling-link", "/links/0"),
        ),
        (
            graph(
                node(1, "S"),
                **with_subgraphs({**definition("S"), "inputs": [{"name": "a", "linkIds": [9]}]}),
            ),
            ("dangling-link", "/definitions/subgraphs/0/inputs/0/linkIds/0"),
        ),
        (
            graph(node(1, "X", outputs=[{"name": "a", "links": None}, {"links": [9]}])),
            ("dangling-link", "/nodes/0/outputs/1/links/0"),
        ),
        (
            graph(
                node(1, "X", outputs=[{"name": "a", "type": "INT", "links": ["4", 9]}]),
                node(2, "Y", "x" * 5_000, inputs=[{"name": "a", "link": 4}]),
                links=[[4, 1, 0, 2, 0, "INT"]],
            ),
            ("dangling-link", "/nodes/0/outputs/0/links/1"),
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(workflow: Json, found: tuple[str, str]) -> None:
    assert places(workflow) == [found]
    at(workflow, found[1])


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('{"nodes": [%s], "nodes": [], "links": [], "version": 1}', "/nodes"),
        (
            '{"nodes": [{"id": 1, "type": "X"}], "version": 1, "x": {"nodes": [%s], "nodes": []}}',
            "/x/nodes",
        ),
        (
            '{"nodes": [{"id": 1, "type": "X", "widgets_values": [%s], "widgets_values": []}],'
            ' "version": 1}',
            "/nodes/0/widgets_values",
        ),
        ('{"1": {"class_type": "X", "inputs": {"a": [%s]}}, "1": {"class_type": "Y"}}', "/1"),
        ('{"1": {"class_type": "X", "inputs": {"a": [%s]}, "inputs": {}}}', "/1/inputs"),
    ],
)
def test_a_key_that_an_object_has_twice_is_told_and_what_is_lost_is_looked_at(
    text: str, key: str
) -> None:
    def told(inside: str) -> list[tuple[str, str]]:
        source = BytesIO((text % inside).encode())
        content = read_workflow(source, "w.json", SHIPPED, Limits(), findings=True)
        return [(each.code, each.pointer) for each in content.findings]

    assert told("") == [("duplicate-key", key)]
    assert told(f'"{TOKEN}"') == [("duplicate-key", key), ("secret", key)]


def test_an_input_that_a_prompt_has_twice_is_told() -> None:
    text = b'{"1": {"class_type": "X", "inputs": {"a": "%s", "a": "b"}}}' % TOKEN.encode()
    content = read_workflow(BytesIO(text), "w.json", SHIPPED, Limits(), findings=True)

    assert [(each.code, each.pointer) for each in content.findings] == [
        ("duplicate-key", "/1/inputs/a"),
        ("secret", "/1/inputs/a"),
    ]


@pytest.mark.parametrize(
    ("plain", "escaped", "text"),
    [
        ("hf_", "\\u0068f_", TOKEN),
        ("/", "\\/", "https://discord.com/api/webhooks/123456789012345678/" + "aB3" * 22),
    ],
)
def test_a_secret_is_found_however_its_letters_are_spelled(
    plain: str, escaped: str, text: str
) -> None:
    whole = json.dumps(graph({**node(1, "X"), "title": text})).replace(plain, escaped)
    content = read_workflow(BytesIO(whole.encode()), "w.json", SHIPPED, Limits(), findings=True)

    assert [(each.code, each.pointer) for each in content.findings] == [
        ("secret", "/nodes/0/title")
    ]


def test_node_templates_need_no_version() -> None:
    clipboard = json.dumps({"nodes": [node(0, "VAELoader", "a.pt")], "links": []})

    assert places({"templates": [{"name": "mine", "data": clipboard}]}) == []


@pytest.mark.parametrize(
    "text",
    [
        TOKEN,
        f"use {TOKEN} please",
        "sk-" + "a1B2" * 8,
        "Authorization: Bearer " + "a1b2" * 6,
        "ghp_" + "a1" * 18,
        "github_pat_" + "a1" * 20,
        "AIza" + "aB3-_" * 7,
        "https://huggingface.co/x/y.safetensors?token=abcdefgh12",
        "https://civitai.com/api/download/models/1?type=Model&token=" + KEY,
        "https://me:password@example.org/x.pt",
        f"civitai key: {KEY}",
        f'"api_key": "{KEY}"',
    ],
)
def test_a_token_is_found_and_never_repeated(text: str) -> None:
    (found,) = findings(graph(node(1, "X", text)))

    assert (found.code, found.severity) == ("secret", Severity.ERROR)
    assert not any(part in found.message for part in text.split() if len(part) > 14)


ANYWHERE = {
    "title": ({"nodes": [{**node(1, "X"), "title": TOKEN}]}, "/nodes/0/title"),
    "property": (
        {"nodes": [node(1, "X", properties={"api_key": TOKEN})]},
        "/nodes/0/properties/api_key",
    ),
    "group": ({"groups": [{"title": TOKEN}]}, "/groups/0/title"),
    "top": ({"my_token": TOKEN}, "/my_token"),
    "config": ({"config": {"a": [TOKEN]}}, "/config/a/0"),
    "top model": (
        {"models": [{"name": "a", "url": f"https://x.org/?token={KEY}"}]},
        "/models/0/url",
    ),
    "description": (
        with_subgraphs({**definition("S"), "description": TOKEN}),
        "/definitions/subgraphs/0/description",
    ),
    "stale named value": (
        {"nodes": [node(1, "X", "a", widgets_values_named={"api_key": TOKEN})]},
        "/nodes/0/widgets_values_named/api_key",
    ),
    "default of an input": (
        {"nodes": [node(1, "X", inputs=[{"name": "a", "link": None, "default": TOKEN}])]},
        "/nodes/0/inputs/0/default",
    ),
}


BETWEEN_WORDS = {
    "title": ({"nodes": [{**node(1, "X"), "title": f"use {TOKEN}"}]}, "/nodes/0/title"),
    "group": ({"groups": [{"title": f"HF token: {TOKEN}"}]}, "/groups/0/title"),
    "config": ({"config": {"note": f"a b {TOKEN}"}}, "/config/note"),
    "description": (
        with_subgraphs({**definition("S"), "description": f"Needs {TOKEN} to load"}),
        "/definitions/subgraphs/0/description",
    ),
    "property": (
        {"nodes": [node(1, "X", properties={"note": f"curl -H 'Authorization: Bearer {KEY}'"})]},
        "/nodes/0/properties/note",
    ),
    "stale named value": (
        {"nodes": [node(1, "X", "a", widgets_values_named={"text": f"my {TOKEN}"})]},
        "/nodes/0/widgets_values_named/text",
    ),
    "password in an address": (
        {"models": [{"name": "a", "url": "https://user:hunter2secret@x.org/a"}]},
        "/models/0/url",
    ),
    "key in an address": (
        {"models": [{"name": "a", "url": "https://x.org/a?key=abcdefgh123456789"}]},
        "/models/0/url",
    ),
    "workflow in a text": (
        {"backup": json.dumps(graph({**node(1, "X"), "title": f"a {TOKEN}"}))},
        "/backup",
    ),
    "private key": (
        {"groups": [{"title": "-----BEGIN RSA PRIVATE KEY-----\n" + "aB3" * 21}]},
        "/groups/0/title",
    ),
    "short password": (
        {"nodes": [node(1, "X", properties={"password": "hunter2"})]},
        "/nodes/0/properties/password",
    ),
}


@pytest.mark.parametrize(
    ("part", "pointer"),
    [*ANYWHERE.values(), *BETWEEN_WORDS.values()],
    ids=[*ANYWHERE, *(f"{each}, between words" for each in BETWEEN_WORDS)],
)
def test_a_token_is_found_wherever_it_stands_and_once(part: Json, pointer: str) -> None:
    workflow = {**graph(node(1, "X")), **part}

    assert places(workflow) == [("secret", pointer)]
    at(workflow, pointer)


@pytest.mark.parametrize(
    "text",
    [
        "gho_" + "aB3" * 12, "glpat-" + "aB3" * 8, "AKIA" + "ABCDEFGH" * 2, "sk_" + "0a" * 24,
        "xoxb-123456789012-1234567890123-" + "aB3" * 8, "r8_" + "aB3" * 13,
        "-----BEGIN RSA PRIVATE KEY-----\nMII", "1234567890:AA" + "aB3" * 12,
        "https://discord.com/api/webhooks/123456789012345678/" + "aB3" * 22,
        "api_org_" + "aB" * 17,
    ],
)  # fmt: skip
def test_tokens_of_many_services_are_known_by_their_form(text: str) -> None:
    assert places(graph(node(1, "X", text))) == [("secret", "/nodes/0/widgets_values/0")]
    assert places({"1": {"class_type": "X", "inputs": {"a": text}}}) == [("secret", "/1/inputs/a")]


def test_a_password_may_be_short() -> None:
    inputs = [{"name": "password", "link": None, "widget": {"name": "password"}}]

    assert places(graph(node(1, "X", "hunter2", inputs=inputs))) == [
        ("secret", "/nodes/0/widgets_values/0")
    ]
    assert places({"1": {"class_type": "X", "inputs": {"password": "hunter2"}}}) == [
        ("secret", "/1/inputs/password")
    ]


def test_a_key_in_a_list_of_a_node_that_fetches_from_civitai_is_one() -> None:
    assert places(graph(node(1, "CivitAI_Lora_Loader", "1", "2", KEY))) == [
        ("secret", "/nodes/0/widgets_values/2")
    ]


@pytest.mark.parametrize("text", [f"monkey: {KEY}", "keyframe " + KEY, "task-" + "abc" * 9])
def test_words_that_hold_those_letters_are_no_secrets(text: str) -> None:
    assert places(graph(node(1, "X", text))) == []


def test_an_opaque_text_in_a_field_for_keys_is_a_secret() -> None:
    prompt = {"1": {"class_type": "X", "inputs": {"civitai_api_key": KEY, "note": KEY}}}
    named = graph({**node(1, "X"), "widgets_values": {"api_key": KEY, "seed": 5}})

    assert places(prompt) == [("secret", "/1/inputs/civitai_api_key")]
    assert places(named) == [("secret", "/nodes/0/widgets_values/api_key")]


@pytest.mark.parametrize(
    "text",
    [
        "hf_transfer", "a task-force of sk-aters", "the bearer of bad news", "@artist (best:1.2)",
        "https://huggingface.co/x/resolve/main/y.safetensors?download=true", "me@example.org",
        "token", "key light, rim light, low key", KEY, "https://example.org/a?seed=123456789012",
        "ratio 16:9@60", "umt5_xxl_fp8_e4m3fn_scaled.safetensors",
    ],
)  # fmt: skip
def test_ordinary_texts_are_no_secrets(text: str) -> None:
    assert findings(graph(node(1, "X", text))) == []


def test_a_file_full_of_faults_gives_a_bounded_list() -> None:
    assert len(findings(graph(*(node(1, "X") for _ in range(1000))))) == 100


def test_a_text_made_to_be_slow_to_search_is_not() -> None:
    slow = ["https://" + "a" * 1_000_000, "hf_" * 300_000, "key" * 300_000, "sk-" * 300_000]
    slow += ["a://" * 200_000 + "@", "Bearer " + " " * 500_000, "?token=" * 100_000]
    for text in slow:
        findings(graph(node(1, "X", text)))


def test_a_finding_says_which_node_it_is_about() -> None:
    saved = findings(graph(node(7, "Noted", TOKEN), node(7, "Other")))
    (queued,) = findings({"12": {"class_type": "X", "inputs": {"a": ["99", 0]}}})
    (nowhere,) = findings({**graph(node(1, "X")), "extra": {"token": TOKEN}})

    assert [(each.code, each.node, each.node_type) for each in saved] == [
        ("duplicate-id", "7", "Other"),
        ("secret", "7", "Noted"),
    ]
    assert (queued.node, queued.node_type) == ("12", "X")
    assert (nowhere.node, nowhere.node_type) == (None, None)
