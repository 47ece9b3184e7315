"""Telling apart what a JSON text is: a saved graph, an API prompt, or several in some wrapping."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import replace as with_fields

from comfywatchman.analyze.declared import Entry, entries
from comfywatchman.analyze.graph import NOTES, VIRTUAL, Graph, Opener, Placed, read_definitions
from comfywatchman.analyze.limits import Limits
from comfywatchman.analyze.loaders import Tables
from comfywatchman.analyze.shapes import (
    Definitions,
    Extra,
    Meta,
    Node,
    Part,
    Properties,
    Run,
    Template,
    Top,
    decoded,
    elements,
    lenient,
    read_prompt,
)
from comfywatchman.analyze.validate import merged_findings, prompt_findings, saved_findings
from comfywatchman.analyze.views import QueuedNode, SavedNode, View
from comfywatchman.domain.references import NodeTypeUse, Remark

_MOST_WRAPPERS = 4
"""An editor file in a string in an object in a list: nobody wraps deeper."""

_MOST_GRAPHS = 10_000
"""In one file; ComfyUI keeps as many runs in its history."""

Pack = Properties | Meta | None
"""Where a node tells its pack."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a text turned out to be."""

    format: str = "none"
    views: Sequence[View] = ()
    entries: Sequence[Entry] = ()
    notes: Sequence[str] = ()
    types: Sequence[tuple[str, Pack]] = ()
    """The type of every node that counts, and where it tells its pack."""
    findings: tuple[Remark, ...] = ()


_NOTHING = Found()


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the text a part lies, and how its nodes are told from those of other parts."""

    limits: Limits
    findings: bool = False
    """Whether anybody wants to know what is wrong with the file."""
    pointer: str = ""
    prefix: str = ""
    wrappers: int = _MOST_WRAPPERS

    def into(self, key: object) -> _Place:
        return replace(self, pointer=f"{self.pointer}/{key}", wrappers=self.wrappers - 1)


def read_graph(raw: Raw, limits: Limits, *, findings: bool = False) -> Found:
    """Return what the text says; of several graphs all together.

    *findings* says whether to look for what is wrong with it as well.

    Raises:
        msgspec.DecodeError: it is no strict JSON.
        RecursionError: it is nested too deeply.
        WorkflowTooDeep, WorkflowTooLarge: it is beyond the limits.
    """
    return _read(raw, _Place(limits, findings))


def _read(raw: Raw, place: _Place) -> Found:
    start = _start(raw)
    if start == b"[":
        return _listed(elements(raw), place)
    if start == b'"' and place.wrappers > 0:
        inner = decoded(raw, str) or ""
        if inner.lstrip().startswith("{"):
            return _read(Raw(inner.encode()), replace(place, wrappers=place.wrappers - 1))
    top = lenient(raw, Top)
    if top is None:
        return _NOTHING
    if top.nodes is not None:
        return _saved(top, place)
    return _wrapped(top, place) or _prompt(raw, place) or _history(raw, place) or _NOTHING


def _start(raw: Raw) -> bytes:
    return bytes(memoryview(raw)[:64]).lstrip()[:1]


# -- wrappings


def _wrapped(top: Top, place: _Place) -> Found | None:
    if place.wrappers <= 0:
        return None
    for key, part in (("workflow", top.workflow), ("prompt", top.prompt), ("output", top.output)):
        if not isinstance(part, UnsetType) and _start(part) in {b"{", b"[", b'"'}:
            found = _read(part, place.into(key))
            if found.format != "none":
                return found
    several = [*_templates(top.templates, place), *_queue(top, place)]
    return _together(several, place)


def _templates(templates: Part, place: _Place) -> Iterator[tuple[Raw, _Place]]:
    for number, raw in enumerate(elements(templates)):
        template = decoded(raw, Template)
        if template is not None and template.data is not None:
            inside = replace(place, pointer=f"{place.pointer}/templates/{number}/data")
            yield Raw(template.data.encode("utf-8", "replace")), inside


def _queue(top: Top, place: _Place) -> Iterator[tuple[Raw, _Place]]:
    for key, part in (("queue_running", top.running), ("queue_pending", top.pending)):
        for number, raw in enumerate(elements(part)):
            yield raw, replace(place, pointer=f"{place.pointer}/{key}/{number}")


def _history(raw: Raw, place: _Place) -> Found | None:
    """Read ComfyUI's history: by prompt id, each with an entry of the queue."""
    runs = decoded(raw, dict[str, Run]) if place.wrappers > 0 else None
    several = [
        (run.prompt, place.into(key).into("prompt"))
        for key, run in (runs or {}).items()
        if not isinstance(run.prompt, UnsetType) and _start(run.prompt) == b"["
    ]
    return _together(several, place)


def _listed(parts: list[Raw], place: _Place) -> Found:
    """Read an entry of ComfyUI's queue (number, id, prompt, extra data, outputs), or several."""
    if len(parts) >= 3 and _start(parts[2]) == b"{" and _start(parts[0]) not in {b"[", b"{"}:
        return _prompt(parts[2], place.into(2)) or _NOTHING
    if place.wrappers <= 0 or not parts:
        return _NOTHING
    queue = [(part, place.into(at)) for at, part in enumerate(parts) if _start(part) == b"["]
    kept = [each for each in _templates(_as_list(parts), place) if not queue]
    return _together([*queue, *kept], place) or _NOTHING


def _as_list(parts: list[Raw]) -> Raw:
    return Raw(b"[" + b",".join(bytes(part) for part in parts) + b"]")


def _together(several: Sequence[tuple[Raw, _Place]], place: _Place) -> Found | None:
    """Read several graphs as one; the ids of their nodes are told apart by a number before them."""
    left = place.limits
    founds: list[Found] = []
    for number, (raw, inside) in enumerate(several[:_MOST_GRAPHS]):
        prefix = f"{place.prefix}{number}/" if len(several) > 1 else place.prefix
        found = _read(raw, replace(inside, prefix=prefix, limits=left))
        if found.format != "none":
            founds.append(found)
            left = replace(left, max_nodes=left.max_nodes - len(found.types))
    if not founds:
        return None
    return Found(
        founds[0].format,
        [view for found in founds for view in found.views],
        [entry for found in founds for entry in found.entries],
        [note for found in founds for note in found.notes],
        [kind for found in founds for kind in found.types],
        merged_findings(found.findings for found in founds),
    )


# -- graphs


def _prompt(raw: Raw, place: _Place) -> Found | None:
    prompt = read_prompt(raw)
    if not prompt:
        return None
    views = [QueuedNode(f"{place.prefix}{path}", node, prompt) for path, node in prompt.items()]
    types = [(node.class_type, node.meta) for node in prompt.values()]
    findings = prompt_findings(prompt, place.pointer) if place.findings else ()
    return Found("api", views, types=types, findings=findings)


def _saved(top: Top, place: _Place) -> Found:
    top = _as_saved(top)
    known = read_definitions(top.definitions)
    extra = decoded(top.extra, Extra)
    graph = Graph(top.nodes or (), top.links, known=known)
    if not any(node.type for node in graph.nodes) and isinstance(top.links, UnsetType):
        return _NOTHING
    groups = extra.groups if extra is not None and extra.groups is not None else top.groups or {}
    placed = Opener(known, groups, place.limits).open(graph, place.prefix)
    found = [*_declared(placed), *entries(decoded(top.models, list[Any]), "models")]
    views = [SavedNode(each) for each in placed if each.node.type not in VIRTUAL]
    types = [(each.node.type, each.node.properties) for each in placed]
    findings = saved_findings(top, graph, place.pointer) if place.findings else ()
    return Found("ui", views, found, list(_notes(placed)), types, findings)


def _as_saved(top: Top) -> Top:
    """Return what the clipboard holds as if it were saved: its links count nodes, not ids."""
    if top.subgraphs is not None:
        both = [*top.subgraphs, *((top.definitions and top.definitions.subgraphs) or ())]
        return with_fields(top, definitions=Definitions(both))
    nodes = top.nodes or []
    if len(nodes) > 1 and all(node.id == -1 for node in nodes):
        numbered: list[Node] = [with_fields(node, id=at) for at, node in enumerate(nodes)]
        return with_fields(top, nodes=numbered, links=UNSET)
    return top


def _declared(placed: Iterable[Placed]) -> Iterator[Entry]:
    for each in placed:
        properties = each.node.properties
        if properties is not None and properties.models:
            yield from entries(properties.models, "properties.models", each.path)


def _notes(placed: Iterable[Placed]) -> Iterator[str]:
    for each in placed:
        if each.node.type in NOTES:
            values = each.node.widgets_values
            if isinstance(values, list) and values and isinstance(values[0], str):
                yield values[0]


# -- node types


def node_types(types: Iterable[tuple[str, Pack]], tables: Tables) -> tuple[NodeTypeUse, ...]:
    """Return each type once, with its number, in the order of the file."""
    by_type: dict[str, list[Pack]] = {}
    for kind, told in types:
        if kind not in by_type:
            by_type[kind] = []
        by_type[kind].append(told)
    return tuple(
        _use(kind, told, tables) for kind, told in by_type.items() if kind and kind not in VIRTUAL
    )


def _use(kind: str, told: Sequence[Pack], tables: Tables) -> NodeTypeUse:
    """Return a type with its number; of several nodes the first that names its pack is believed."""
    cnr_id = aux_id = None
    for each in told:
        if each is not None and (each.cnr_id or each.aux_id):
            cnr_id, aux_id = each.cnr_id, each.aux_id
            break
    core = cnr_id == "comfy-core" or kind in tables.core
    return NodeTypeUse(kind, len(told), cnr_id, aux_id, core)
