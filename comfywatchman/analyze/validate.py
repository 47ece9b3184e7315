"""What is wrong in a workflow file itself, whatever models there are.

Findings name a place as a JSON pointer (RFC 6901) into the text that was read. They never repeat
a value that may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from msgspec import UnsetType

from comfywatchman.analyze.graph import Graph
from comfywatchman.analyze.shapes import Definitions, Node, PromptNode, Top, decoded
from comfywatchman.domain.references import Remark, Severity

_MOST = 100
"""Findings of one file; more of them say nothing new."""

_VERSIONS = (0.4, 1)
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_DEEPEST = 32

_SHORTEST_SECRET = 16
_SECRETS = (
    (("hf_",), r"\bhf_[A-Za-z0-9]{30,}", "a Hugging Face token"),
    (("sk-",), r"\bsk-[A-Za-z0-9_-]{20,}", "an API key"),
    (("earer ",), r"\b[Bb]earer +[A-Za-z0-9._~+/-]{16,}", "a bearer token"),
    (("ghp_", "_pat_"), r"\b(?:ghp|github_pat)_[A-Za-z0-9_]{16,}", "a GitHub token"),
    (("AIza",), r"\bAIza[0-9A-Za-z_-]{35}", "a Google key"),
    (("@",), r"\b[a-z]{2,10}://[^\s/:@]{0,100}:[^\s/@]{1,200}@", "a password in a URL"),
    (
        ("oken=", "key=", "Key=", "auth=", "ignature="),
        r"[?&](?:(?:access_|api_)?(?:[Tt]oken|[Kk]ey)|auth|(?:X-Amz-)?[Ss]ignature)=[^&\s\"']{8,}",
        "a token in a URL",
    ),
    (
        ("key", "Key", "KEY", "oken"),
        r"(?:[Kk]ey|KEY|[Tt]oken)[\"']?\s{0,3}[:=]?\s{0,3}[\"']?[0-9a-f]{32}\b",
        "a key",
    ),
)
"""A text that has one of the first may have the second; looking for the first is much cheaper."""

_NEEDLES = tuple(needle.encode() for needles, _, _ in _SECRETS for needle in needles)
_KEYISH = re.compile(r"(?i)api_?key|(?:^|_)(?:token|secret|password|passwd)$|civitai.{0,10}key")
_OPAQUE = re.compile(r"[A-Za-z0-9_.+/=-]{16,400}")


def saved_findings(top: Top, root: Graph, place: str) -> tuple[Remark, ...]:
    """Return what is wrong in a saved graph that lies at *place* in the text."""
    return tuple(islice(_saved(top, root, place), _MOST))


def prompt_findings(prompt: Mapping[str, PromptNode], place: str) -> tuple[Remark, ...]:
    """Return what is wrong in an API prompt that lies at *place* in the text."""
    return tuple(islice(_queued(prompt, place), _MOST))


def _saved(top: Top, root: Graph, place: str) -> Iterator[Remark]:
    if top.version not in _VERSIONS:
        told = "no version" if top.version is None else "a version that no editor writes"
        yield Remark(
            "unknown-version", Severity.INFO, f"{place}/version",
            f"The workflow has {told}; it was read as version 0.4.",
        )  # fmt: skip
    yield from _graph(root, place)
    for at, graph in _graphs(top.definitions, root.known, f"{place}/definitions/subgraphs", 0):
        yield from _graph(graph, at)
    if not isinstance(top.extra, UnsetType) and any(each in bytes(top.extra) for each in _NEEDLES):
        yield from _in_value(decoded(top.extra, Any), "", f"{place}/extra", 0)


def _graphs(
    definitions: Definitions | None, known: Mapping[str, Graph], place: str, depth: int
) -> Iterator[tuple[str, Graph]]:
    if definitions is None or depth > _DEEPEST:
        return
    for number, definition in enumerate(definitions.subgraphs or ()):
        at = f"{place}/{number}"
        graph = known.get(definition.id)
        if graph is not None:
            yield at, graph
        yield from _graphs(definition.definitions, known, f"{at}/definitions/subgraphs", depth + 1)


def _graph(graph: Graph, place: str) -> Iterator[Remark]:
    yield from _identities(graph, place)
    yield from _links(graph, place)
    for number, node in enumerate(graph.nodes):
        if _UUID.fullmatch(node.type) and node.type not in graph.known:
            yield Remark(
                "missing-subgraph", Severity.ERROR, f"{place}/nodes/{number}/type",
                "The node is a subgraph that the file does not define.",
            )  # fmt: skip
        if node.properties is not None and node.properties.models:
            yield from _stale(node, f"{place}/nodes/{number}")
        values = node.widgets_values
        if values:
            yield from _in_widgets(node, values, f"{place}/nodes/{number}/widgets_values")


def _identities(graph: Graph, place: str) -> Iterator[Remark]:
    if len(graph.by_id) == len(graph.nodes):
        return
    seen: set[int | str] = set()
    for number, node in enumerate(graph.nodes):
        if node.id in seen:
            yield Remark(
                "duplicate-id", Severity.WARNING, f"{place}/nodes/{number}/id",
                "Another node before it has the same id, so that links to either are ambiguous.",
            )  # fmt: skip
        seen.add(node.id)


def _links(graph: Graph, place: str) -> Iterator[Remark]:
    links = graph.links
    ids = graph.by_id.keys() | {graph.input_node, graph.output_node}
    ends = {link.origin_id for link in links.values()}
    ends.update(link.target_id for link in links.values())
    if not ends <= ids:
        lost = {end for end in ends - ids if graph.node(end) is None}
        for number, link in enumerate(links.values()):
            if link.origin_id in lost or link.target_id in lost:
                yield Remark(
                    "dangling-link", Severity.WARNING, f"{place}/links/{number}",
                    "The link begins or ends at a node that is not there.",
                )  # fmt: skip
    used = {socket.link for node in graph.nodes for socket in node.inputs or ()}
    used.discard(None)
    if not used <= links.keys():
        lost_links = {link for link in used if link is not None and graph.link(link) is None}
        yield from _lost_inputs(graph, place, lost_links)


def _lost_inputs(graph: Graph, place: str, lost: set[int | str]) -> Iterator[Remark]:
    for number, node in enumerate(graph.nodes):
        for slot, socket in enumerate(node.inputs or ()):
            if socket.link in lost:
                yield Remark(
                    "dangling-link", Severity.WARNING, f"{place}/nodes/{number}/inputs/{slot}/link",
                    "The input names a link that is not there.",
                )  # fmt: skip


def _stale(node: Node, place: str) -> Iterator[Remark]:
    models = node.properties.models if node.properties is not None else None
    chosen = set(_names(node.widgets_values, 0))
    for number, record in enumerate(models if isinstance(models, list) else ()):
        name = record.get("name") if isinstance(record, dict) else None
        at = f"{place}/properties/models/{number}"
        if isinstance(name, str) and _basename(name) not in chosen:
            yield Remark(
                "stale-model", Severity.INFO, at,
                "The node declares a model that none of its widgets selects; it was not counted.",
            )  # fmt: skip
        if isinstance(record, dict):
            yield from _in_value(record.get("url"), "url", f"{at}/url", 0)


def _names(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield _basename(value)
    elif isinstance(value, list | dict) and depth < _DEEPEST:
        for inner in value if isinstance(value, list) else value.values():
            yield from _names(inner, depth + 1)


def _basename(name: str) -> str:
    return name.replace("\\", "/").rsplit("/", 1)[-1]


def _queued(prompt: Mapping[str, PromptNode], place: str) -> Iterator[Remark]:
    for key, node in prompt.items():
        for name, value in node.inputs.items():
            at = f"{place}/{_escaped(key)}/inputs/{_escaped(name)}"
            if isinstance(value, str):
                yield from _in_text(value, name, at)
            elif isinstance(value, list) and len(value) == 2 and type(value[1]) is int:
                if isinstance(value[0], str | int) and str(value[0]) not in prompt:
                    yield Remark(
                        "dangling-link", Severity.WARNING, at,
                        "The input is linked to a node that is not there.",
                    )  # fmt: skip
            else:
                yield from _in_value(value, name, at, 0)


# -- secrets


def _in_widgets(node: Node, values: Any, place: str) -> Iterator[Remark]:
    """Look at the widgets of a node; names are known only where the file tells them."""
    if isinstance(values, dict):
        yield from _in_value(values, "", place, 0)
        return
    if not isinstance(values, list):
        return
    for number, value in enumerate(values):
        kind = type(value)
        if kind is str:
            if len(value) >= _SHORTEST_SECRET:
                yield from _in_text(value, _widget(node, number), f"{place}/{number}")
        elif kind is list or kind is dict:
            yield from _in_value(value, "", f"{place}/{number}", 0)


def _widget(node: Node, number: int) -> str:
    """Return a widget's name, where every one of the node has a socket."""
    sockets = [socket.widget.name for socket in node.inputs or () if socket.widget is not None]
    values = node.widgets_values
    return sockets[number] if isinstance(values, list) and len(sockets) == len(values) else ""


def _in_value(value: Any, name: str, place: str, depth: int) -> Iterator[Remark]:
    if isinstance(value, str):
        yield from _in_text(value, name, place)
    elif isinstance(value, dict) and depth < _DEEPEST:
        for key, inner in value.items():
            yield from _in_value(inner, key, f"{place}/{_escaped(key)}", depth + 1)
    elif isinstance(value, list) and depth < _DEEPEST:
        for number, inner in enumerate(value):
            yield from _in_value(inner, name, f"{place}/{number}", depth + 1)


def _in_text(text: str, name: str, place: str) -> Iterator[Remark]:
    what = _secret(text) or _named_secret(text, name)
    if what is not None:
        yield Remark(
            "secret", Severity.ERROR, place,
            f"This looks like {what}. Whoever gets the file gets it as well: take it out,"
            " and withdraw it where it was made.",
        )  # fmt: skip


def _secret(text: str) -> str | None:
    if len(text) < _SHORTEST_SECRET:
        return None
    for needles, pattern, what in _SECRETS:
        for needle in needles:
            if needle in text:
                if re.search(pattern, text):  # re keeps what it compiled; most files need none
                    return what
                break
    return None


def _named_secret(text: str, name: str) -> str | None:
    if name and len(text) >= _SHORTEST_SECRET and _KEYISH.search(name) and _OPAQUE.fullmatch(text):
        return "a key or a token"
    return None


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def merged_findings(parts: Iterable[tuple[Remark, ...]]) -> tuple[Remark, ...]:
    """Return the findings of several graphs of one file, up to the most that we tell."""
    return tuple(islice((remark for part in parts for remark in part), _MOST))
