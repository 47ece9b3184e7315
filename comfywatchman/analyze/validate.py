"""What is wrong in a workflow file itself, whatever models there are.

Findings name a place as a JSON pointer (RFC 6901) into the text that was read. They never repeat
a value that may be a secret. Nearly every file is sound, so that the loops below are written for
finding nothing quickly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from msgspec import Raw

from comfywatchman.analyze import tokens
from comfywatchman.analyze.graph import Graph, Placed
from comfywatchman.analyze.naming import Naming, pointer_to
from comfywatchman.analyze.nesting import circle_of, definitions_below
from comfywatchman.analyze.repeated import Counts, repeated_keys
from comfywatchman.analyze.secrets import (
    SHORTEST,
    Hit,
    Search,
    is_keyish,
    is_opaque,
    is_password,
    letters_in,
)
from comfywatchman.analyze.shapes import (
    Definition,
    Id,
    Link,
    Node,
    PromptNode,
    Socket,
    Top,
    decoded,
)
from comfywatchman.analyze.stale import Declarations, records
from comfywatchman.analyze.views import widget_names
from comfywatchman.domain.references import Remark, Severity

_MOST = 100
"""Findings of one file; more of them say nothing new."""

_VERSIONS = (0.4, 1)
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_UUID_LENGTH = 36
_NO_LINK = Link()
"""Stands in the place of one that could not be read."""

_CIVITAI_KEY = re.compile(r"[0-9a-f]{32}")
_SHORTEST_PASSWORD, _LONGEST_PASSWORD = 4, 100
_MOST_DECODED = 8 << 20
"""Bytes of a text that is taken apart to tell where in it a secret is."""

_DEEPEST = 32


class Inspector:
    """Looks at the parts of one file."""

    def __init__(self, data: bytes = b"") -> None:
        """Prepare for the text *data*."""
        self.found: list[Remark] = []
        """At most a hundred: more say nothing new."""
        self._naming = Naming()
        self._search = Search()
        self._passwords = b"assw" in data
        """Whether anything in it can be called a password."""
        self._read = Counts()
        self._declared = Declarations()

    def named(self, selected: Iterable[tuple[str, str]]) -> tuple[Remark, ...]:
        """Return what was found, with the nodes that it is about.

        *selected* are the paths of nodes, and what each of them selects (empty: nobody can tell).
        """
        told = {each.pointer for each in self.found}
        for place in self._declared.overruled(selected):
            if place not in told:
                self._stale(place)
        return tuple(self._naming.named(remark) for remark in self.found)

    @property
    def _full(self) -> bool:
        return len(self.found) >= _MOST

    def _tell(self, code: str, severity: Severity, pointer: str, message: str) -> None:
        if not self._full:
            self.found.append(Remark(code, severity, pointer, message))

    def saved(self, top: Top, root: Graph, place: str, *, versioned: bool = True) -> None:
        """Look at a saved graph that lies at *place* in the text."""
        if versioned and top.version not in _VERSIONS:
            told = "no version" if top.version is None else "a version that no editor writes"
            self._tell(
                "unknown-version", Severity.INFO, f"{place}/version",
                f"The workflow has {told}; it was read as version 0.4.",
            )  # fmt: skip
        self._graph(root, place)
        if top.definitions is not None:
            inside = f"{place}/definitions/subgraphs"
            circle = circle_of(root.known)
            seen: set[str] = set()
            for at, definition in definitions_below(top.definitions, inside, 0):
                if definition.id in seen:
                    self._tell(
                        "duplicate-id", Severity.ERROR, f"{at}/id",
                        "Another subgraph has the same id, so that only one of them can be used.",
                    )  # fmt: skip
                seen.add(definition.id)
                self._lost_ports(definition, at)
                graph = root.known.get(definition.id)
                if graph is not None and graph.nodes is definition.nodes:
                    self._graph(graph, at)
                    if definition.id in circle:
                        self._inside_itself(graph, circle[definition.id], at)
        self.part(top.extra, f"{place}/extra")

    def placed(self, nodes: Iterable[Placed]) -> None:
        """Note where in the opened graph its nodes are."""
        self._declared.placed(nodes)

    def rest(self, data: bytes) -> None:
        """Look for what is wrong with the text *data* as a whole, and for secrets anywhere else."""
        if len(data) <= _MOST_DECODED and self._read.are_exceeded(data):
            self._repeated(data)
        if self._full or not (self._passwords or tokens.may_hold(data)):
            return
        told = [each.pointer for each in self.found if each.code == "secret"]
        whole = decoded(Raw(data), Any) if len(data) <= _MOST_DECODED else None
        if whole is None and not told:
            self._secrets([((), "a key or a token")], "")
        for where, name, text in tokens.strings(whole, _DEEPEST):
            what = self._what(name, text)
            if what is not None:
                pointer = pointer_to("", *where)
                if not any(f"{each}/".startswith(f"{pointer}/") for each in told):
                    self._secrets([(where, what)], "")

    def _repeated(self, data: bytes) -> None:
        told: set[str] = set()
        for where, lost in repeated_keys(data):
            place = pointer_to("", *where)
            if place not in told:
                told.add(place)
                self._tell(
                    "duplicate-key", Severity.WARNING, place,
                    "The object has this key more than once; only the last one counts, for ComfyUI"
                    " as well.",
                )  # fmt: skip
            for _, name, text in tokens.strings(lost, _DEEPEST):
                what = self._what(name or str(where[-1]), text)
                if what is not None:
                    self._secrets([((), what)], place)
                    break

    def _what(self, name: str, text: str) -> str | None:
        if _SHORTEST_PASSWORD <= len(text) <= _LONGEST_PASSWORD and is_password(name):
            return None if any(map(str.isspace, text)) else "a password"
        return tokens.known_by_form(text) or self._search.text(text, name)

    def part(self, raw: object, place: str) -> None:
        """Look for secrets in a part of the text that is no graph."""
        if isinstance(raw, Raw) and not self._full:
            self._secrets(self._search.part(raw), place)

    # -- saved graphs

    def _graph(self, graph: Graph, place: str) -> None:
        nodes, known, links = graph.nodes, graph.known, graph.links
        self._read.graphs += 1
        self._read.values += sum(node.widgets_values is not None for node in nodes)
        self._naming.saved(place, nodes)
        if len(graph.by_id) != len(nodes) or any(type(each) is str for each in graph.by_id):
            self._twice(nodes, place)
        if len(links) != len(graph.every_link):
            self._links_twice(graph.every_link, place)
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
                self._declares(node, f"{place}/nodes/{number}/properties/models")
            if node.widgets_values:
                hits = self._in_widgets(node, node.widgets_values)
                if hits:
                    self._secrets(hits, f"{place}/nodes/{number}/widgets_values")
                    if self._full:
                        return

    def _twice(self, nodes: Iterable[Node], place: str) -> None:
        seen: set[str] = set()
        for number, node in enumerate(nodes):
            if str(node.id) in seen and node.type:
                self._tell(
                    "duplicate-id", Severity.WARNING, f"{place}/nodes/{number}/id",
                    "Another node before it has the same id, so that links to either are"
                    " ambiguous.",
                )  # fmt: skip
            seen.add(str(node.id))

    def _links_twice(self, links: Iterable[Link], place: str) -> None:
        seen: set[Id] = set()
        for number, link in enumerate(links):
            if link.id in seen and link != _NO_LINK:
                self._tell(
                    "duplicate-id", Severity.WARNING, f"{place}/links/{number}",
                    "Another link before it has the same id, and is lost.",
                )  # fmt: skip
            seen.add(link.id)

    def _lost_ports(self, definition: Definition, place: str) -> None:
        """Look at the links that a definition's inputs and outputs name."""
        there = {link.id for link in definition.links or ()}
        for kind, ports in (("inputs", definition.inputs), ("outputs", definition.outputs)):
            for number, port in enumerate(ports or ()):
                named = port.links if isinstance(port.links, list) else ()
                for at, link in enumerate(named):
                    if isinstance(link, int | str) and link not in there:
                        self._tell(
                            "dangling-link", Severity.INFO,
                            f"{place}/{kind}/{number}/linkIds/{at}",
                            "The subgraph's socket names a link that is not there.",
                        )  # fmt: skip

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
            elif not _has_sockets(graph, link):
                self._tell(
                    "dangling-link", Severity.WARNING, f"{place}/links/{number}",
                    "The link begins or ends at a socket that is not there.",
                )  # fmt: skip

    def _lost_inputs(self, graph: Graph, sockets: Iterable[Socket], place: str) -> None:
        for slot, socket in enumerate(sockets):
            if socket.link is not None and graph.link(socket.link) is None:
                self._tell(
                    "dangling-link", Severity.WARNING, f"{place}/{slot}/link",
                    "The input names a link that is not there.",
                )  # fmt: skip

    def _declares(self, node: Node, place: str) -> None:
        for number in self._declared.unselected(node, place):
            self._stale(f"{place}/{number}")
        for number, record in enumerate(records(node)):
            url = record.get("url") if isinstance(record, dict) else None
            if isinstance(url, str) and letters_in(url):
                self._secrets(self._search.value(url), f"{place}/{number}/url")
            if self._full:
                return

    def _stale(self, place: str) -> None:
        self._tell(
            "stale-model", Severity.INFO, place,
            "The node declares a model that none of its widgets selects; it was not counted.",
        )  # fmt: skip

    def _inside_itself(self, graph: Graph, kind: str, place: str) -> None:
        number = next(at for at, node in enumerate(graph.nodes) if node.type == kind)
        self._tell(
            "subgraph-cycle", Severity.ERROR, f"{place}/nodes/{number}/type",
            "By way of this node the subgraph contains itself; what has no end was not opened.",
        )  # fmt: skip

    # -- prompts

    def queued(self, prompt: Mapping[str, PromptNode], place: str) -> None:
        """Look at an API prompt that lies at *place* in the text."""
        self._naming.queued(place, prompt)
        self._read.prompts += len(prompt)
        for key, node in prompt.items():
            for name, value in node.inputs.items():
                if _is_lost(value, prompt):
                    self._tell(
                        "dangling-link", Severity.WARNING, pointer_to(place, key, "inputs", name),
                        "The input is linked to a node that is not there.",
                    )  # fmt: skip
            self._secrets(self._search.value(node.inputs), pointer_to(place, key, "inputs"))
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
                    if self._passwords and self._is_password(node, number, value):
                        hits += (((number,), "a password"),)
                    continue
                letters = letters_in(value)
                what = self._search.around(value, letters) if letters else None
                if what is None and " " not in value and is_opaque(value):
                    what = _by_name(node, number, value)
                if what is not None:
                    hits += (((number,), what),)
            elif kind is list or kind is dict:
                hits += tuple(((number, *at), what) for at, what in self._search.value(value))
        return hits

    def _is_password(self, node: Node, number: int, value: str) -> bool:
        names = widget_names(node)
        return (
            bool(names) and is_password(names[number]) and self._what("password", value) is not None
        )

    def _secrets(self, hits: Iterable[Hit], place: str) -> None:
        for where, what in islice(hits, _MOST):
            self._tell(
                "secret", Severity.ERROR, pointer_to(place, *where),
                f"This looks like {what}. Whoever gets the file gets it as well: take it out,"
                " and withdraw it where it was made.",
            )  # fmt: skip


def _by_name(node: Node, number: int, value: str) -> str | None:
    """Say what the opaque text of a widget is, if the widget is called like one for secrets.

    Nodes that fetch from Civitai have its key, of 32 digits, in a widget without a name.
    """
    if "ivit" in node.type and _CIVITAI_KEY.fullmatch(value):
        return "a Civitai key"
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


def _has_sockets(graph: Graph, link: Link) -> bool:
    """Return whether the file has the sockets that a link connects, where it tells them."""
    if link.origin_id == graph.input_node and graph.inputs:
        return 0 <= link.origin_slot < len(graph.inputs)
    if link.target_id == graph.output_node:
        return not graph.outputs or 0 <= link.target_slot < len(graph.outputs)
    target = graph.by_id.get(link.target_id)
    sockets = None if target is None else target.inputs
    return not sockets or 0 <= link.target_slot < len(sockets)


def _is_lost(value: Any, prompt: Mapping[str, PromptNode]) -> bool:
    """Return whether an input of a prompt is a link to a node that the prompt does not have."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and type(value[1]) is int
        and isinstance(value[0], str | int)
        and str(value[0]) not in prompt
    )
