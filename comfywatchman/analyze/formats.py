"""Reads a workflow: a saved graph, an API prompt, or either one inside a picture, sound or film."""

from __future__ import annotations

from itertools import islice
from typing import BinaryIO

import msgspec
from msgspec import Raw

from comfywatchman.analyze.containers import Text, embedded_texts, sniff
from comfywatchman.analyze.extract import mentions
from comfywatchman.analyze.jsontext import not_json, refuse_depth, repaired, too_deep
from comfywatchman.analyze.limits import Limits
from comfywatchman.analyze.loaders import Tables
from comfywatchman.analyze.merge import merged, parameter_mentions
from comfywatchman.analyze.variants import node_types, read_graph
from comfywatchman.domain.errors import Trouble, WatchmanError, WorkflowTooLarge
from comfywatchman.domain.references import WorkflowContent

__all__ = ["Limits", "read_workflow"]


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
        texts = embedded_texts(source, container, limits)
    except WatchmanError as error:
        return WorkflowContent(container, "none", trouble=error.trouble())
    first: Trouble | None = None
    for text in texts:
        try:
            content = _read_text(text, container, tables, limits, findings=findings)
        except WatchmanError as error:
            first = first or error.trouble()
            continue
        if content.format != "none":
            return content
    return WorkflowContent(container, "none", trouble=first)


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
    refuse_depth(text.data, limits.max_depth)
    try:
        try:
            graph = read_graph(Raw(text.data), limits, findings=findings)
        except (msgspec.DecodeError, UnicodeDecodeError):
            graph = read_graph(Raw(repaired(text.data)), limits, findings=findings)
    except RecursionError as error:
        raise too_deep(limits.max_depth) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise not_json(text.data, str(error)) from error
    found = list(islice(mentions(graph.views, tables), limits.max_mentions + 1))
    if len(found) > limits.max_mentions:
        raise WorkflowTooLarge(
            f"The workflow names models in more than {limits.max_mentions} places.",
            remedy="No real workflow does; look where the file comes from.",
        )
    references = merged(found, graph.entries, graph.notes)
    return WorkflowContent(
        container,
        graph.format,
        text.key,
        tuple(references),
        node_types(graph.types, tables),
        findings=graph.findings,
    )


def _parameters(text: Text, container: str) -> WorkflowContent:
    found = list(parameter_mentions(text.data.decode("utf-8", "replace")))
    if not found:
        return WorkflowContent(container, "none")
    return WorkflowContent(container, "api", text.key, tuple(merged(found, (), ())))
