"""What is wrong in a workflow file itself, whatever models there are.

Findings name a place as a JSON pointer (RFC 6901) into the text that was read. They never repeat
a value that may be a secret. Nearly every file is sound, so that the loops below are written for
finding nothing quickly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from msgspec import Raw

from comfywatchman.analyze.graph import Graph
from comfywatchman.analyze.secrets import SHORTEST, Hit, Search, is_keyish, is_opaque, letters_in
from comfywatchman.analyze.shapes import (
    Definition,
    Definitions,
    Id,
    Link,
    Node,
    PromptNode,
    Socket,
    Top,
)
from comfywatchman.analyze.views import widget_names
from comfywatchman.domain.references import Remark, Severity

_MOST = 100
"""Findings of one file; more of them say nothing new."""

_VERSIONS = (0.4, 1)
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_UUID_LENGTH = 36
_NO_LINK = Link()
"""Stands in the place of one that could not be read."""

_DEEPEST = 32
_LONGEST_KEY = 100
"""Characters of one step of a pointer that are told."""


class Inspector:
    """Looks at the parts of one file."""

    def __init__(self) -> None:
        self.found: list[Remark] = []
        """At most a hundred: more say nothing new."""
        self._search = Search()

    @property
    def _full(self) -> bool:
        return len(self.found) >= _MOST

    def _tell(self, code: str, severity: Severity, pointer: str, message: str) -> None:
        if not self._full:
            self.found.append(Remark(code, severity, pointer, message))

    def saved(self, top: Top, root: Graph, place: str) -> None:
        """Look at a saved graph that lies at *place* in the text."""
        if top.version not in _VERSIONS:
            told = "no version" if top.version is None else "a version that no editor writes"
            self._tell(
                "unknown-version", Severity.INFO, f"{place}/version",
                f"The workflow has {told}; it was read as version 0.4.",
            )  # fmt: skip
        self._graph(root, place)
        if top.definitions is not None:
            inside = f"{place}/definitions/subgraphs"
            circle = _circle(root.known)
            for at, definition in _definitions(top.definitions, inside, 0):
                graph = root.known.get(definition.id)
                if graph is not None and graph.nodes is definition.nodes:
                    self._graph(graph, at)
                    if definition.id in circle:
                        self._inside_itself(graph, circle[definition.id], at)
        self.part(top.extra, f"{place}/extra")

    def part(self, raw: object, place: str) -> None:
        """Look for secrets in a part of the text that is no graph."""
        if isinstance(raw, Raw) and not self._full:
            self._secrets(self._search.part(raw), place)

    # -- saved graphs

    def _graph(self, graph: Graph, place: str) -> None:
        nodes, known, links = graph.nodes, graph.known, graph.links
        if len(graph.by_id) != len(nodes):
            self._twice(nodes, place)
        self._ends(graph, place)
        for number, node in enumerate(nodes):
            kind = node.type
            if len(kind) == _UUID_LENGTH and kind not in known and _UUID.fullmatch(kind):
                self._tell(
                    "missing-subgraph", Severity.ERROR, f"{place}/nodes/{number}/type",
                    "The node is a subgraph that the file does not define.",
                )  # fmt: skip
            if node.inputs:
                for socket in node.inputs:
                    if socket.link is not None and socket.link not in links:
                        self._lost_inputs(graph, node.inputs, f"{place}/nodes/{number}/inputs")
                        break
            if node.properties is not None and node.properties.models:
                self._declared(node, f"{place}/nodes/{number}/properties/models")
            if node.widgets_values:
                hits = self._in_widgets(node, node.widgets_values)
                if hits:
                    self._secrets(hits, f"{place}/nodes/{number}/widgets_values")
                    if self._full:
                        return

    def _twice(self, nodes: Iterable[Node], place: str) -> None:
        seen: set[Id] = set()
        for number, node in enumerate(nodes):
            if node.id in seen and node.type:
                self._tell(
                    "duplicate-id", Severity.WARNING, f"{place}/nodes/{number}/id",
                    "Another node before it has the same id, so that links to either are"
                    " ambiguous.",
                )  # fmt: skip
            seen.add(node.id)

    def _ends(self, graph: Graph, place: str) -> None:
        """Look where links begin and end."""
        ids = graph.by_id.keys() | {graph.input_node, graph.output_node}
        for number, link in enumerate(graph.every_link):
            if link.origin_id not in ids or link.target_id not in ids:
                if link == _NO_LINK or (graph.has(link.origin_id) and graph.has(link.target_id)):
                    continue
                self._tell(
                    "dangling-link", Severity.WARNING, f"{place}/links/{number}",
                    "The link begins or ends at a node that is not there.",
                )  # fmt: skip
                if self._full:
                    return

    def _lost_inputs(self, graph: Graph, sockets: Iterable[Socket], place: str) -> None:
        for slot, socket in enumerate(sockets):
            if socket.link is not None and graph.link(socket.link) is None:
                self._tell(
                    "dangling-link", Severity.WARNING, f"{place}/{slot}/link",
                    "The input names a link that is not there.",
                )  # fmt: skip

    def _declared(self, node: Node, place: str) -> None:
        models = node.properties.models if node.properties is not None else None
        chosen: set[str] | None = None
        for number, record in enumerate(models if isinstance(models, list) else ()):
            if not isinstance(record, dict):
                continue
            name, url = record.get("name"), record.get("url")
            if isinstance(name, str) and not _is_one_of(name, node.widgets_values):
                if chosen is None:
                    chosen = set(_names(node.widgets_values, 0))
                if _basename(name) not in chosen:
                    self._tell(
                        "stale-model", Severity.INFO, f"{place}/{number}",
                        "The node declares a model that none of its widgets selects; it was not"
                        " counted.",
                    )  # fmt: skip
            if isinstance(url, str) and letters_in(url):
                self._secrets(self._search.value(url), f"{place}/{number}/url")
            if self._full:
                return

    def _inside_itself(self, graph: Graph, kind: str, place: str) -> None:
        number = next(at for at, node in enumerate(graph.nodes) if node.type == kind)
        self._tell(
            "subgraph-cycle", Severity.ERROR, f"{place}/nodes/{number}/type",
            "By way of this node the subgraph contains itself; what has no end was not opened.",
        )  # fmt: skip

    # -- prompts

    def queued(self, prompt: Mapping[str, PromptNode], place: str) -> None:
        """Look at an API prompt that lies at *place* in the text."""
        for key, node in prompt.items():
            for name, value in node.inputs.items():
                if _is_lost(value, prompt):
                    self._tell(
                        "dangling-link", Severity.WARNING, _pointer(place, key, "inputs", name),
                        "The input is linked to a node that is not there.",
                    )  # fmt: skip
            self._secrets(self._search.value(node.inputs), _pointer(place, key, "inputs"))
            if self._full:
                return

    # -- secrets

    def _in_widgets(self, node: Node, values: Any) -> Sequence[Hit]:
        """Look at the widgets of a node, by their names as well where the file tells them."""
        if not isinstance(values, list):
            return list(self._search.value(values))
        hits: tuple[Hit, ...] = ()
        for number, value in enumerate(values):
            kind = type(value)
            if kind is str:
                if len(value) < SHORTEST:
                    continue
                letters = letters_in(value)
                what = self._search.around(value, letters) if letters else None
                if what is None and " " not in value and is_opaque(value):
                    what = _by_name(node, number)
                if what is not None:
                    hits += (((number,), what),)
            elif kind is list or kind is dict:
                hits += tuple(((number, *at), what) for at, what in self._search.value(value))
        return hits

    def _secrets(self, hits: Iterable[Hit], place: str) -> None:
        for where, what in islice(hits, _MOST):
            self._tell(
                "secret", Severity.ERROR, _pointer(place, *where),
                f"This looks like {what}. Whoever gets the file gets it as well: take it out,"
                " and withdraw it where it was made.",
            )  # fmt: skip


def _by_name(node: Node, number: int) -> str | None:
    """Say what the opaque text of a widget is, if the widget is called like one for secrets."""
    names = widget_names(node) if _names_secrets(node) else ()
    return "a key or a token" if names and is_keyish(names[number]) else None


def _names_secrets(node: Node) -> bool:
    """Return whether a widget of the node may be one for secrets, by what it is called."""
    if isinstance(node.named, Raw):
        told = bytes(node.named).lower()
        return b"key" in told or b"token" in told or b"secret" in told or b"passw" in told
    return any(
        socket.widget is not None and is_keyish(socket.widget.name) for socket in node.inputs or ()
    )


def _is_lost(value: Any, prompt: Mapping[str, PromptNode]) -> bool:
    """Return whether an input of a prompt is a link to a node that the prompt does not have."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and type(value[1]) is int
        and isinstance(value[0], str | int)
        and str(value[0]) not in prompt
    )


def _definitions(
    definitions: Definitions, place: str, depth: int
) -> Iterator[tuple[str, Definition]]:
    for number, definition in enumerate(definitions.subgraphs or ()):
        at = f"{place}/{number}"
        yield at, definition
        if definition.definitions is not None and depth < _DEEPEST:
            inner = f"{at}/definitions/subgraphs"
            yield from _definitions(definition.definitions, inner, depth + 1)


def _circle(known: Mapping[str, Graph]) -> Mapping[str, str]:
    """Return subgraphs that contain each other in a circle, each with the one inside it."""
    inside = {name: held for name, graph in known.items()
              if (held := {node.type for node in graph.nodes if node.type in known})}  # fmt: skip
    if not inside:
        return {}
    import graphlib  # few files have subgraphs in subgraphs

    try:
        graphlib.TopologicalSorter(inside).prepare()
    except graphlib.CycleError as error:
        order: list[str] = error.args[1]
        return dict(zip(order[1:], order[:-1], strict=True))
    return {}


def _is_one_of(name: str, values: Any) -> bool:
    return isinstance(values, list) and name in values


def _names(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield _basename(value)
    elif isinstance(value, list | dict) and depth < _DEEPEST:
        for inner in value if isinstance(value, list) else value.values():
            yield from _names(inner, depth + 1)


def _basename(name: str) -> str:
    return name.replace("\\", "/").rsplit("/", 1)[-1]


def _pointer(place: str, *steps: str | int) -> str:
    return place + "".join(f"/{_escaped(step)}" for step in steps)


def _escaped(step: str | int) -> str:
    if isinstance(step, int):
        return str(step)
    if len(step) > _LONGEST_KEY:
        step = f"{step[:_LONGEST_KEY]}…"
    return step.replace("~", "~0").replace("/", "~1")
