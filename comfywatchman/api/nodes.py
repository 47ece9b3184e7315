"""The nodes of a workflow as its file has them.

Only of files that the confined child has read to the end just before: it is that reading which
finds out whether a stranger's file is sound.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

import msgspec

from comfywatchman.analyze.containers import embedded_texts, sniff
from comfywatchman.analyze.jsontext import repaired
from comfywatchman.analyze.limits import Limits
from comfywatchman.domain.errors import WatchmanError

Document = dict[str, Any]


def document_of(source: BinaryIO, taken: str | None, limits: Limits) -> Document:
    """Return the JSON object that was read from *source*; an empty one where it is no object."""
    try:
        texts = embedded_texts(source, sniff(source), limits).texts
    except WatchmanError:
        return {}
    for text in sorted(texts, key=lambda text: text.key != taken):
        found = _decoded(text.data)
        if isinstance(found, dict):
            return found
    return {}


def _decoded(data: bytes) -> object:
    for mend in (bytes, repaired):
        try:
            return msgspec.json.decode(mend(data))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
            continue
    return None


def nodes_of(document: Document) -> tuple[Mapping[str, Any], ...]:
    """Return the nodes at the top of a saved graph, or those of a prompt, each with its id."""
    listed = document.get("nodes")
    if isinstance(listed, list):
        return tuple(node for node in listed if isinstance(node, Mapping))
    inner = document.get("prompt", document)
    if not isinstance(inner, Mapping):
        return ()
    return tuple(
        {"id": key, **node}
        for key, node in inner.items()
        if isinstance(node, Mapping) and "class_type" in node
    )
