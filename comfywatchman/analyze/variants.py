"""Telling apart what a JSON text is: a saved graph, an API prompt, or several in some wrapping."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from msgspec import Raw, UnsetType
from msgspec.structs import replace as with_fields

from comfywatchman.analyze.declared import Entry, entries
from comfywatchman.analyze.graph import (
    GETTERS,
    LONGEST_TYPE,
    NOTES,
    PASSING,
    VIRTUAL,
    Graph,
    Opener,
    Placed,
    read_definitions,
    short,
)
from comfywatchman.analyze.known import known_top
from comfywatchman.analyze.limits import Budget, Limits, budget
from comfywatchman.analyze.loaders import Tables
from comfywatchman.analyze.repair import LARGE, read_prompt, read_top
from comfywatchman.analyze.shapes import (
    Definitions,
    Extra,
    Node,
    Part,
    PromptNode,
    Properties,
    Run,
    Template,
    Top,
    decoded,
    elements,
)
from comfywatchman.analyze.uses import Level
from comfywatchman.analyze.validate import Inspector
from comfywatchman.analyze.views import (
    QueuedNode,
    SavedNode,
    View,
    may_name,
    may_queue_name,
)

_MOST_WRAPPERS = 4
"""An editor file in a string in an object in a list: nobody wraps deeper."""

_MOST_GRAPHS = 10_000
"""In one file; ComfyUI keeps as many runs in its history."""

_UUID_LENGTH = 36
"""Characters of the id of a subgraph."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a text turned out to be."""

    format: str = "none"
    views: Sequence[View] = ()
    entries: Sequence[Entry] = ()
    notes: Sequence[str] = ()
    levels: Sequence[Level] = ()
    """Every node that counts, for its type and pack."""
    definitions: Sequence[dict[str, Graph]] = ()
    """Of the subgraphs, which know each other."""
    taken: str | None = None
    """``workflow`` or ``prompt``, where the text could hold both."""

    def let_go(self) -> None:
        """Cut the views off from their subgraphs, so that memory is free without a collection."""
        for each in self.definitions:
            each.clear()


_NOTHING = Found()


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the text a part lies, and how its nodes are told from those of other parts."""

    allowed: Budget
    tables: Tables
    inspector: Inspector | None = None
    pointer: str = ""
    prefix: str = ""
    wrappers: int = _MOST_WRAPPERS
    large: bool = False
    """Of a large file not all is kept, however small its parts are."""
    of_clipboard: bool = False
    """What the editor's clipboard holds has no version."""

    def into(self, key: object) -> _Place:
        return replace(self, pointer=f"{self.pointer}/{key}", wrappers=self.wrappers - 1)


def read_graph(
    raw: Raw, tables: Tables, limits: Limits, inspector: Inspector | None = None
) -> Found:
    """Return what the text says; of several graphs all together.

    Only those nodes are viewed that may name a model, by the table or not.
    The *inspector* looks for what is wrong with the text, where anybody wants to know.

    Raises:
        msgspec.DecodeError: it is no strict JSON.
        RecursionError: it is nested too deeply.
        WorkflowTooLarge: it is beyond the limits.
    """
    large = len(memoryview(raw)) >= LARGE
    return _read(raw, _Place(budget(limits), tables, inspector, large=large))


def _read(raw: Raw, place: _Place) -> Found:
    keeps = _keeps_values(place.tables)
    top = _known(raw, place) or read_top(raw, keeps, place.allowed.kept, large=place.large)
    if top is None:
        return _no_object(raw, place)
    if top.nodes is not None:
        return _saved(top, place)
    return _wrapped(top, place) or _prompt(raw, place) or _history(raw, place) or _NOTHING


def _known(raw: Raw, place: _Place) -> Top | None:
    """Return a file that holds nothing unexpected, with its texts handed to the inspector."""
    if place.inspector is None or place.pointer or place.wrappers != _MOST_WRAPPERS:
        return None
    known = known_top(raw)
    if known is None:
        return None
    place.inspector.exposed.texts = known[1]
    return known[0]


def _no_object(raw: Raw, place: _Place) -> Found:
    start = _start(raw)
    if start == b"[":
        return _listed(elements(raw), place)
    inner = _unquoted(raw) if start == b'"' and place.wrappers > 0 else None
    return _NOTHING if inner is None else _read(inner, replace(place, wrappers=place.wrappers - 1))


def _unquoted(raw: Raw) -> Raw | None:
    """Return the JSON in a text; some programs wrap it more than once."""
    inner = decoded(raw, str) or ""
    return Raw(inner.encode()) if inner.lstrip()[:1] in {"{", "[", '"'} else None


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
                _look_at_rest(top.extra_data, place.into("extra_data"))
                return found if key == "output" else replace(found, taken=found.taken or key)
    kept = _templates(elements(top.templates), place)
    return _together([*kept, *_queue(top, place)], place)


def _templates(templates: Sequence[Raw], place: _Place) -> Iterator[tuple[Raw, _Place]]:
    for number, raw in enumerate(templates):
        template = decoded(raw, Template)
        if template is not None and template.data is not None:
            inside = f"{place.pointer}/templates/{number}/data"
            raw_data = Raw(template.data.encode("utf-8", "replace"))
            yield raw_data, replace(place, pointer=inside, of_clipboard=True)


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
        found = _prompt(parts[2], place.into(2))
        if found is not None and len(parts) > 3:
            _look_at_rest(parts[3], place.into(3))
        return _NOTHING if found is None else replace(found, taken="prompt")
    if place.wrappers <= 0 or not parts:
        return _NOTHING
    queue = [(part, place.into(at)) for at, part in enumerate(parts) if _start(part) == b"["]
    return _together(queue or [*_templates(parts, place)], place) or _NOTHING


def _look_at_rest(part: Part, place: _Place) -> None:
    """Look for secrets in what was sent along with a prompt: older ComfyUIs keep tokens there."""
    if place.inspector is not None:
        place.inspector.part(part, place.pointer)


def _together(several: Sequence[tuple[Raw, _Place]], place: _Place) -> Found | None:
    """Read several graphs as one; the ids of their nodes are told apart by a number before them."""
    founds: list[Found] = []
    for number, (raw, inside) in enumerate(several[:_MOST_GRAPHS]):
        prefix = f"{place.prefix}{number}/" if len(several) > 1 else place.prefix
        found = _read(raw, replace(inside, prefix=prefix))
        if found.format != "none":
            founds.append(found)
    if not founds:
        return None
    return Found(
        founds[0].format,
        [view for found in founds for view in found.views],
        [entry for found in founds for entry in found.entries],
        [note for found in founds for note in found.notes],
        [level for found in founds for level in found.levels],
        definitions=[known for found in founds for known in found.definitions],
        taken=founds[0].taken,
    )


# -- graphs


def _prompt(raw: Raw, place: _Place) -> Found | None:
    keeps = _keeps_values(place.tables)
    prompt = read_prompt(raw, keeps, place.allowed.kept, large=place.large)
    if not prompt:
        return None
    place.allowed.listed.take(len(prompt))
    steps = place.allowed.followed
    for node in prompt.values():
        if len(node.class_type) > LONGEST_TYPE:
            node.class_type = node.class_type[:LONGEST_TYPE]
    listed = _listed_types(place.tables)
    views = [
        QueuedNode(f"{place.prefix}{short(path)}", node, prompt, steps)
        for path, node in prompt.items()
        if listed(node.class_type) or may_queue_name(node)
    ]
    if place.inspector is not None:
        place.inspector.queued(prompt, place.pointer)
    nodes = [Node(path, node.class_type, properties=_pack(node)) for path, node in prompt.items()]
    return Found("api", views, levels=[(place.prefix, True, nodes)])


def _pack(node: PromptNode) -> Properties | None:
    return None if node.meta is None else Properties(node.meta.cnr_id, node.meta.aux_id)


def _saved(top: Top, place: _Place) -> Found:
    top = _as_saved(top)
    steps = place.allowed.followed
    known = read_definitions(top.definitions, steps)
    extra = decoded(top.extra, Extra) if _mentions_groups(top.extra) else None
    graph = Graph(top.nodes or (), top.links or (), known=known, steps=steps)
    if top.links is None and not any(node.type for node in graph.nodes):
        return _NOTHING
    groups = extra.groups if extra is not None and extra.groups is not None else top.groups or {}
    opener = Opener(known, groups, place.allowed, _speaking(place.tables), place.tables)
    opener.open(graph, place.prefix)
    if place.inspector is not None:
        place.inspector.saved(top, graph, place.pointer, versioned=not place.of_clipboard)
        place.inspector.placed(opener.placed)
    found = [*_declared(opener.placed), *entries(decoded(top.models, list[Any]), "models")]
    return Found(
        "ui",
        _views(opener.placed, place.tables),
        found,
        list(_notes(opener.placed)),
        opener.levels,
        definitions=[known],
    )


def _views(placed: Iterable[Placed], tables: Tables) -> list[View]:
    core = tables.core
    return [
        SavedNode(each, fixed=each.node.type in core)
        for each in placed
        if each.node.type not in VIRTUAL
    ]


def _mentions_groups(extra: Part) -> bool:
    return isinstance(extra, Raw) and b"groupNodes" in bytes(extra)


def _keeps_values(tables: Tables) -> Callable[[str], bool]:
    """Return whether the values of a type of node count whatever they are.

    Those are loaders, what others get their values from, and instances of subgraphs and groups.
    """

    def keeps(kind: str) -> bool:
        return (
            kind in tables.listed
            or kind in VIRTUAL
            or kind in GETTERS
            or kind in PASSING
            or len(kind) == _UUID_LENGTH
            or kind.startswith("workflow")
        )

    return keeps


def _speaking(tables: Tables) -> Callable[[Node], bool]:
    """Return whether a node may name a model or tell where one is from."""
    listed = _listed_types(tables)

    def speaks(node: Node) -> bool:
        if listed(node.type) or (node.properties is not None and node.properties.models):
            return True
        return may_name(node)

    return speaks


def _listed_types(tables: Tables) -> Callable[[str], bool]:
    """Return whether a type of node has lines in the table, or is read whatever is in it."""
    listed, prefixes = tables.listed, tables.prefixes
    always: dict[str, bool] = {}

    def is_listed(kind: str) -> bool:
        known = always.get(kind)
        if known is None:
            known = kind in listed or kind in NOTES or "MultiGPU" in kind
            known = always[kind] = known or kind.startswith(prefixes)
        return known

    return is_listed


def _as_saved(top: Top) -> Top:
    """Return what the clipboard holds as if it were saved: its links count nodes, not ids."""
    if top.subgraphs is not None:
        both = [*top.subgraphs, *((top.definitions and top.definitions.subgraphs) or ())]
        return with_fields(top, definitions=Definitions(both))
    nodes = top.nodes or []
    if len(nodes) > 1 and all(node.id == -1 for node in nodes):
        numbered: list[Node] = [with_fields(node, id=at) for at, node in enumerate(nodes)]
        return with_fields(top, nodes=numbered, links=None)
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
