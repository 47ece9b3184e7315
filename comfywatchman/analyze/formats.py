"""Reads a workflow: a saved graph, an API prompt, or either one inside an image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import msgspec
from msgspec import Raw, UnsetType

from comfywatchman.analyze.containers import Text, embedded_texts, sniff
from comfywatchman.analyze.declared import Entry, entries
from comfywatchman.analyze.extract import mentions
from comfywatchman.analyze.graph import (
    NOTES,
    VIRTUAL,
    Graph,
    Opener,
    Placed,
    read_definitions,
)
from comfywatchman.analyze.jsontext import not_json, refuse_depth, repaired, too_deep
from comfywatchman.analyze.limits import Limits
from comfywatchman.analyze.loaders import Tables
from comfywatchman.analyze.merge import merged, parameter_mentions
from comfywatchman.analyze.shapes import (
    Extra,
    Meta,
    PromptNode,
    Properties,
    Top,
    decoded,
    elements,
    lenient,
    read_prompt,
)
from comfywatchman.analyze.views import QueuedNode, SavedNode, View
from comfywatchman.domain.errors import Trouble, WatchmanError
from comfywatchman.domain.references import NodeTypeUse, WorkflowContent

__all__ = ["Limits", "read_workflow"]

_MOST_WRAPPERS = 3
"""An editor file in a string in an object: nobody wraps deeper."""


@dataclass(frozen=True, slots=True)
class _Graph:
    """What a text turned out to be."""

    format: str
    views: Sequence[View]
    entries: Sequence[Entry] = ()
    notes: Sequence[str] = ()
    uses: Sequence[NodeTypeUse] = ()


def read_workflow(
    source: BinaryIO, filename: str, tables: Tables, limits: Limits
) -> WorkflowContent:
    """Return what a file asks for; *filename* is for messages, its suffix decides nothing.

    A file that cannot be read is an answer too: ``trouble`` is set. JSON that is no workflow has
    the format ``none`` and no trouble.

    Raises:
        OSError: the disk failed.
        MemoryError: the limits allow more than the process may use.
    """
    container = sniff(source)
    try:
        texts = embedded_texts(source, container, limits)
    except WatchmanError as error:
        return WorkflowContent(container, "none", trouble=error.trouble())
    first: Trouble | None = None
    for text in texts:
        try:
            content = _read_text(text, container, tables, limits)
        except WatchmanError as error:
            first = first or error.trouble()
            continue
        if content.format != "none":
            return content
    return WorkflowContent(container, "none", trouble=first)


def _read_text(text: Text, container: str, tables: Tables, limits: Limits) -> WorkflowContent:
    """Read one text, strictly first; what a browser forgives is repaired and read again.

    Raises:
        WorkflowUnreadable: it is no JSON.
        WorkflowTooDeep, WorkflowTooLarge: it is beyond the limits.
    """
    if text.key == "parameters":
        return _parameters(text, container)
    refuse_depth(text.data, limits.max_depth)
    try:
        try:
            graph = _graph(Raw(text.data), tables, limits)
        except (msgspec.DecodeError, UnicodeDecodeError):
            graph = _graph(Raw(repaired(text.data)), tables, limits)
    except RecursionError as error:
        raise too_deep(limits.max_depth) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise not_json(text.data, str(error)) from error
    references = merged(mentions(graph.views, tables), graph.entries, graph.notes)
    return WorkflowContent(container, graph.format, text.key, tuple(references), tuple(graph.uses))


def _parameters(text: Text, container: str) -> WorkflowContent:
    found = list(parameter_mentions(text.data.decode("utf-8", "replace")))
    if not found:
        return WorkflowContent(container, "none")
    return WorkflowContent(container, "api", text.key, tuple(merged(found, (), ())))


# -- telling the variants apart


def _graph(raw: Raw, tables: Tables, limits: Limits, wrappers: int = _MOST_WRAPPERS) -> _Graph:
    start = bytes(memoryview(raw)[:64]).lstrip()[:1]
    if start == b"[":
        return _queued(elements(raw), tables, limits)
    if start == b'"' and wrappers > 0:
        inner = decoded(raw, str) or ""
        if inner.lstrip().startswith("{"):
            return _graph(Raw(inner.encode()), tables, limits, wrappers - 1)
    top = lenient(raw, Top)
    if top is None:
        return _Graph("none", ())
    if top.nodes is not None:
        return _saved(top, tables, limits)
    for part in (top.workflow, top.prompt, top.output):
        if not isinstance(part, UnsetType) and wrappers > 0:
            found = _wrapped(part, tables, limits, wrappers)
            if found.format != "none":
                return found
    return _prompt(raw, tables)


def _wrapped(raw: Raw, tables: Tables, limits: Limits, wrappers: int) -> _Graph:
    start = bytes(memoryview(raw)[:64]).lstrip()[:1]
    if start not in (b"{", b"[", b'"'):
        return _Graph("none", ())
    return _graph(raw, tables, limits, wrappers - 1)


def _queued(tuple_: list[Raw], tables: Tables, limits: Limits) -> _Graph:
    """Read an entry of ComfyUI's queue: number, prompt id, prompt, extra data, outputs."""
    return _prompt(tuple_[2], tables) if len(tuple_) >= 3 else _Graph("none", ())


def _prompt(raw: Raw, tables: Tables) -> _Graph:
    prompt = read_prompt(raw)
    if not prompt:
        return _Graph("none", ())
    views = [QueuedNode(path, node, prompt) for path, node in prompt.items()]
    return _Graph("api", views, uses=_prompt_uses(prompt.values(), tables))


def _saved(top: Top, tables: Tables, limits: Limits) -> _Graph:
    known = read_definitions(top.definitions)
    extra = decoded(top.extra, Extra)
    graph = Graph(top.nodes or (), top.links, known=known)
    if not any(node.type for node in graph.nodes) and isinstance(top.links, UnsetType):
        return _Graph("none", ())
    groups = extra.groups if extra is not None and extra.groups is not None else {}
    placed = Opener(known, groups, limits).open(graph)
    found = [*_declared(placed), *entries(decoded(top.models, list[Any]), "models")]
    views = [SavedNode(each) for each in placed if each.node.type not in VIRTUAL]
    return _Graph("ui", views, found, list(_notes(placed)), _saved_uses(placed, tables))


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


def _saved_uses(placed: Iterable[Placed], tables: Tables) -> list[NodeTypeUse]:
    by_type: dict[str, list[Properties | Meta | None]] = {}
    for each in placed:
        by_type.setdefault(each.node.type, []).append(each.node.properties)
    return [
        _use(kind, told, tables) for kind, told in by_type.items() if kind and kind not in VIRTUAL
    ]


def _prompt_uses(nodes: Iterable[PromptNode], tables: Tables) -> list[NodeTypeUse]:
    by_type: dict[str, list[Properties | Meta | None]] = {}
    for node in nodes:
        by_type.setdefault(node.class_type, []).append(node.meta)
    return [_use(kind, told, tables) for kind, told in by_type.items()]


def _use(kind: str, told: Sequence[Properties | Meta | None], tables: Tables) -> NodeTypeUse:
    """Return a type with its number; of several nodes the first that names its pack is believed."""
    cnr_id = aux_id = None
    for each in told:
        if each is not None and (each.cnr_id or each.aux_id):
            cnr_id, aux_id = each.cnr_id, each.aux_id
            break
    return NodeTypeUse(kind, len(told), cnr_id, aux_id, _core(kind, cnr_id, tables))


def _core(node_type: str, cnr_id: str | None, tables: Tables) -> bool:
    return cnr_id == "comfy-core" or node_type in tables.core
