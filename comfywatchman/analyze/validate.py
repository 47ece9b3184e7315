"""What is wrong in a workflow file itself, whatever models there are.

Findings name a place as a JSON pointer (RFC 6901) into the text that was read. They never repeat
a value that may be a secret. Nearly every file is sound, so that the loops below are written for
finding nothing quickly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from operator import attrgetter
from typing import Any

from msgspec import Raw

from comfywatchman.analyze.exposed import MOST_DECODED, Exposed
from comfywatchman.analyze.graph import Graph, Placed
from comfywatchman.analyze.naming import Naming, pointer_to
from comfywatchman.analyze.nesting import circle_of, definitions_below
from comfywatchman.analyze.repeated import Counts, repeated_keys
from comfywatchman.analyze.shapes import (
    Definition,
    Link,
    Node,
    PromptNode,
    Top,
    of_all,
    output_links,
    outputs_of,
)
from comfywatchman.analyze.stale import Declarations
from comfywatchman.domain.references import Remark, Severity

_MOST = 100
"""Findings of one file; more of them say nothing new."""

_VERSIONS = (0.4, 1)
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_UUID_LENGTH = 36
_ALWAYS_SEARCHED = 3_000
"""Bytes of a text that is always looked through for keys that are there twice."""

_INPUTS, _VALUES = attrgetter("inputs"), attrgetter("widgets_values")
_LINK, _WIDGET, _NAME = attrgetter("link"), attrgetter("widget"), attrgetter("name")

_NO_LINK = Link()
"""Stands in the place of one that could not be read."""


class Inspector:
    """Looks at the parts of one file."""

    def __init__(self) -> None:
        self.exposed = Exposed()
        self.found: list[Remark] = []
        """At most a hundred, but for secrets: more say nothing new."""
        self._secrets: list[Remark] = []
        self._naming = Naming()
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
        found = [*self.found[: _MOST - len(self._secrets)], *self._secrets]
        return tuple(self._naming.named(remark) for remark in found)

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
        """Look for what is wrong with the text *data* as a whole, and for secrets in all of it."""
        if len(data) <= MOST_DECODED and self._may_repeat(data):
            self._repeated(data)
        for place, what in self.exposed.found(data):
            self._secret(place, what)

    def _may_repeat(self, data: bytes) -> bool:
        """Return whether an object may have a key more than once: always so of a small file."""
        texts = self.exposed.texts
        if len(data) <= _ALWAYS_SEARCHED:
            return True
        return self._read.are_exceeded(data) if texts is None else texts.repeats

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
            for _, what in islice(self.exposed.inside(lost, str(where[-1])), 1):
                self._secret(place, what)

    def _secret(self, place: str, what: str) -> None:
        if len(self._secrets) < _MOST:
            self._secrets.append(
                Remark(
                    "secret", Severity.ERROR, place,
                    f"This looks like {what}. Whoever gets the file gets it as well: take it out,"
                    " and withdraw it where it was made.",
                )
            )  # fmt: skip

    def part(self, raw: object, place: str) -> None:
        """Look for secrets in a part of the text that is no graph."""
        if isinstance(raw, Raw):
            self.exposed.part(raw, place)

    # -- saved graphs

    def _graph(self, graph: Graph, place: str) -> None:
        nodes, known, links = graph.nodes, graph.known, graph.links
        self._read.graphs += 1
        if self.exposed.texts is None:
            self._read.values += sum(node.widgets_values is not None for node in nodes)
        self._naming.saved(place, nodes)
        if len(graph.by_id) != len(nodes) or str in set(map(type, graph.by_id)):
            self._twice(nodes, place)
        if len(links) != len(graph.every_link) or str in set(map(type, links)):
            self._links_twice(graph.every_link, place)
        sockets = [*of_all(_INPUTS, nodes)]
        linked = len(sockets) - [*map(_LINK, sockets)].count(None)
        sound = _is_sound(graph, linked)
        if not sound:
            self._ends(graph, place)
        for number, node in enumerate(nodes):
            if len(node.type) == _UUID_LENGTH and node.type not in known:
                self._lost_subgraph(node.type, f"{place}/nodes/{number}/type")
            if not sound:
                self._lost_inputs(graph, node, f"{place}/nodes/{number}/inputs")
            if node.properties is not None and node.properties.models:
                self._declares(node, f"{place}/nodes/{number}/properties/models")
        if not links.keys() >= output_links(nodes):
            self._lost_outputs(graph, place)
        widgets = set(map(_NAME, filter(None, map(_WIDGET, sockets))))
        widgets.update(*(values for values in map(_VALUES, nodes) if type(values) is dict))
        self.exposed.graph(nodes, widgets, place)

    def _lost_subgraph(self, kind: str, place: str) -> None:
        if _UUID.fullmatch(kind):
            self._tell(
                "missing-subgraph", Severity.ERROR, place,
                "The node is a subgraph that the file does not define.",
            )  # fmt: skip

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
        seen: set[str] = set()
        for number, link in enumerate(links):
            if str(link.id) in seen and link != _NO_LINK:
                self._tell(
                    "duplicate-id", Severity.WARNING, f"{place}/links/{number}",
                    "Another link before it has the same id, and is lost.",
                )  # fmt: skip
            seen.add(str(link.id))

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
        by_id = graph.by_id
        ids = by_id.keys() | {graph.input_node, graph.output_node}
        for number, link in enumerate(graph.every_link):
            target = by_id.get(link.target_id)
            if target is not None and link.origin_id in by_id:  # nearly all, so without a call
                sockets = target.inputs
                if not sockets or 0 <= link.target_slot < len(sockets):
                    continue
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

    def _lost_inputs(self, graph: Graph, node: Node, place: str) -> None:
        for slot, socket in enumerate(node.inputs or ()):
            link = None if socket.link is None else graph.link(socket.link)
            if socket.link is not None and link is None:
                self._tell(
                    "dangling-link", Severity.WARNING, f"{place}/{slot}/link",
                    "The input names a link that is not there.",
                )  # fmt: skip
            elif link is not None and str(link.target_id) != str(node.id):
                self._tell(
                    "crossed-link", Severity.WARNING, f"{place}/{slot}/link",
                    "The input names a link that goes to another node by the list of links.",
                )  # fmt: skip

    def _lost_outputs(self, graph: Graph, place: str) -> None:
        for number, node in enumerate(graph.nodes):
            for slot, output in enumerate(outputs_of(node)):
                for at, link in enumerate(output.links or ()):
                    if graph.link(link) is None:
                        self._tell(
                            "dangling-link", Severity.INFO,
                            f"{place}/nodes/{number}/outputs/{slot}/links/{at}",
                            "The output names a link that is not there.",
                        )  # fmt: skip

    def _declares(self, node: Node, place: str) -> None:
        for number in self._declared.unselected(node, place):
            self._stale(f"{place}/{number}")

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
        self.exposed.prompt(prompt, place)


def _is_sound(graph: Graph, linked: int) -> bool:
    """Return whether each link joins sockets that are there, and each input has the link it names.

    *linked* inputs name one. Said of nearly all graphs, so that others are looked at only then.
    """
    by_id, ports, outputs = graph.by_id, len(graph.inputs), len(graph.outputs)
    for link in graph.every_link:
        if link.origin_id not in by_id and (
            link.origin_id != graph.input_node or not 0 <= link.origin_slot < ports
        ):
            return False
        target = by_id.get(link.target_id)
        slot = link.target_slot
        if target is None:
            if link.target_id != graph.output_node or not 0 <= slot < outputs:
                return False
        else:
            sockets = target.inputs
            if not sockets or not 0 <= slot < len(sockets) or sockets[slot].link != link.id:
                return False
            linked -= 1
    return linked == 0


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
