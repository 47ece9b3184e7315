"""Reads a workflow: a saved graph, an API prompt, or either one inside a picture, sound or film."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from itertools import islice
from typing import BinaryIO

import msgspec
from msgspec import Raw

from comfywatchman.analyze.containers import Embedded, Text, embedded_texts, is_json, sniff
from comfywatchman.analyze.extract import mentions
from comfywatchman.analyze.jsontext import (
    not_json,
    repaired,
    too_deep,
    without_long_texts,
)
from comfywatchman.analyze.limits import Limits
from comfywatchman.analyze.loaders import Tables
from comfywatchman.analyze.merge import merged, parameter_mentions
from comfywatchman.analyze.tokens import has_form
from comfywatchman.analyze.uses import node_types
from comfywatchman.analyze.validate import Inspector
from comfywatchman.analyze.variants import Found, read_graph
from comfywatchman.domain.errors import Trouble, WatchmanError, WorkflowTooLarge
from comfywatchman.domain.references import (
    ModelReference,
    NodeTypeUse,
    Remark,
    Severity,
    WorkflowContent,
)

__all__ = ["Limits", "read_in_memory", "read_workflow"]

_LONGEST_PARAMETERS = 1 << 19
"""Bytes of a text with generation parameters; real ones have some thousands."""

_SMALL = 100_000
"""Bytes of a text in which nothing can be long enough to be left out."""

_HUGE = 1 << 20
"""Bytes of a text of which nothing may stay in memory that could be freed."""

_MANY = 50
"""Places that name models, or types of nodes; what fewer of them say is small in any case."""

_AROUND = 100
"""Bytes of keys, folders and hashes beside a name."""


def read_workflow(
    source: BinaryIO, filename: str, tables: Tables, limits: Limits, *, findings: bool = False
) -> WorkflowContent:
    """Return what a file asks for; *filename* is for messages, its suffix decides nothing.

    With *findings* it is looked at for what is wrong in itself, which takes half as long again.

    A file that cannot be read is an answer too: ``trouble`` is set. JSON that is no workflow has
    the format ``none`` and no trouble.

    Raises:
        OSError: the disk failed.
        MemoryError: the limits allow more than the process may use.
    """
    container = sniff(source)
    try:
        embedded = embedded_texts(source, container, limits)
    except WatchmanError as error:
        return WorkflowContent(container, "none", trouble=error.trouble())
    return _first_workflow(embedded, container, tables, limits, findings=findings)


def read_in_memory(
    data: bytes, filename: str, tables: Tables, limits: Limits, *, findings: bool = False
) -> WorkflowContent:
    """Do as `read_workflow` does for a file that was read already.

    Raises:
        MemoryError: the limits allow more than the process may use.
    """
    if is_json(data) and len(data) <= limits.max_bytes:
        whole = Embedded([Text(data)])
        return _first_workflow(whole, "json", tables, limits, findings=findings)
    return read_workflow(BytesIO(data), filename, tables, limits, findings=findings)


def _first_workflow(
    embedded: Embedded, container: str, tables: Tables, limits: Limits, *, findings: bool
) -> WorkflowContent:
    first: Trouble | None = None
    broken = None if embedded.trouble is None else embedded.trouble.trouble()
    for text in embedded.texts:
        try:
            with _without_collections(len(text.data)):
                content = _read_text(text, container, tables, limits, findings=findings)
        except WatchmanError as error:
            first = first or error.trouble()
            continue
        if content.format != "none":
            beside = _beside(embedded.texts, text) if findings else ()
            why = first or (None if text.key == "workflow" else broken)
            if findings and why is not None:
                beside = (_passed_over(why, text), *beside)
            return replace(content, findings=(*content.findings, *beside)) if beside else content
    return WorkflowContent(container, "none", trouble=first or broken)


def _passed_over(why: Trouble, taken: Text) -> Remark:
    """Tell that another text than the first was read, since that one could not be."""
    return Remark(
        "broken-text",
        Severity.WARNING,
        "",
        f"{why.cause} The {taken.key} beside it was read in its place.",
    )


def _beside(texts: Sequence[Text], taken: Text) -> tuple[Remark, ...]:
    """Tell of secrets in a file's other texts, which nobody reads and everybody gets."""
    return tuple(
        Remark(
            "secret",
            Severity.ERROR,
            "",
            f"The text {other.key!r} beside the one that was read holds what looks like a token"
            " or a key. Whoever gets the file gets it as well: take it out, and withdraw it where"
            " it was made.",
        )
        for other in texts
        if other is not taken and has_form(other.data)
    )


@contextmanager
def _without_collections(size: int) -> Iterator[None]:
    """Let Python's collector rest while a text of *size* bytes is read, but for a huge one.

    It would look through what is made of the text while that grows, and find nothing.
    """
    works = gc.isenabled() and size <= _HUGE
    if works:
        gc.disable()
    try:
        yield
    finally:
        if works:
            gc.enable()


def _read_text(
    text: Text, container: str, tables: Tables, limits: Limits, *, findings: bool
) -> WorkflowContent:
    """Read one text, strictly first; what a browser forgives is repaired and read again.

    Raises:
        WorkflowUnreadable: it is no JSON.
        WorkflowTooDeep, WorkflowTooLarge: it is beyond the limits.
    """
    if text.key == "parameters":
        return _parameters(text, container)
    try:
        graph, inspector = _graph(text.data, tables, limits, findings=findings)
    except RecursionError as error:
        raise too_deep(text.data) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        name = "file" if text.key is None else f"{text.key} in the {container} file"
        raise not_json(text.data, str(error), name) from error
    found = list(islice(mentions(graph.views, tables), limits.max_mentions + 1))
    if len(found) > limits.max_mentions:
        raise WorkflowTooLarge(
            f"The workflow names models in more than {limits.max_mentions} places.",
            remedy="No real workflow does; look where the file comes from.",
        )
    references = tuple(merged(found, graph.entries, graph.notes))
    types = node_types(graph.levels, tables)
    graph.let_go()
    remarks = () if inspector is None else inspector.named((each.node, each.name) for each in found)
    if len(found) > _MANY or len(types) > _MANY:
        _refuse_floods(references, types, limits)
    taken = text.key or graph.taken
    return WorkflowContent(container, graph.format, taken, references, types, findings=remarks)


def _graph(
    data: bytes, tables: Tables, limits: Limits, *, findings: bool
) -> tuple[Found, Inspector | None]:
    """Return what a text says, and who has seen what is wrong with it if somebody asks.

    Raises:
        msgspec.DecodeError: it is no JSON, whatever is repaired; the message has the place.
        RecursionError: it is nested too deeply.
        WorkflowTooLarge: it is beyond the limits.
    """
    try:
        return _graph_once(data, tables, limits, findings=findings)
    except (msgspec.DecodeError, UnicodeDecodeError):
        data = repaired(data)
    try:
        return _graph_once(data, tables, limits, findings=findings)
    except msgspec.DecodeError:
        msgspec.json.decode(data, type=Raw)  # raises with the place, as nothing is left out
        raise


def _graph_once(
    data: bytes, tables: Tables, limits: Limits, *, findings: bool
) -> tuple[Found, Inspector | None]:
    inspector = Inspector() if findings else None
    if len(data) > _SMALL:
        data = without_long_texts(data)
    graph = read_graph(Raw(data), tables, limits, inspector)
    if inspector is not None and graph.format != "none":
        inspector.rest(data)
    return graph, inspector


def _refuse_floods(
    references: Sequence[ModelReference], types: Sequence[NodeTypeUse], limits: Limits
) -> None:
    """Raise where the answer would be much larger than the file: each name may carry many others.

    Raises:
        WorkflowTooLarge: it would.
    """
    size = sum(len(each.type) + sum(map(len, each.nodes)) + _AROUND for each in types)
    for each in references:
        size += 2 * len(each.raw) + sum(map(len, each.nodes)) + _AROUND
        size += sum(len(declared.url or "") + _AROUND for declared in each.declared)
    if size > limits.max_answer_bytes:
        raise WorkflowTooLarge(
            f"What the workflow says takes more than {limits.max_answer_bytes} bytes to tell.",
            remedy="No real workflow says so much; look where the file comes from.",
        )


def _parameters(text: Text, container: str) -> WorkflowContent:
    end = text.data[-_LONGEST_PARAMETERS:]  # the settings are the last line
    found = list(parameter_mentions(end.decode("utf-8", "replace")))
    if not found:
        return WorkflowContent(container, "none")
    return WorkflowContent(container, "api", text.key, tuple(merged(found, (), ())))
