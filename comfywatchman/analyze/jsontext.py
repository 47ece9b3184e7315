"""JSON from strangers: how deep it is, and how to make strict JSON of what a browser forgives."""

from __future__ import annotations

import math
import re

from comfywatchman.domain.errors import WorkflowTooDeep, WorkflowUnreadable

_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_AS_SQUARE = bytes.maketrans(b"{}", b"[]")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_LONGEST_INTEGER = 1000
"""Digits. Python refuses to read integers of more than 4,300, and no node has one of 1,000."""


def refuse_depth(data: bytes, limit: int) -> None:
    """Raise where lists and objects are nested deeper than *limit*.

    Looks at brackets alone, so that it costs little. What it lets pass in a malformed text, the
    decoder's own limit stops.

    Raises:
        WorkflowTooDeep: it is.
    """
    if _peeled(data, limit) and _peeled(_STRING.sub(b"", data), limit):
        raise too_deep(limit)


def too_deep(limit: int) -> WorkflowTooDeep:
    return WorkflowTooDeep(
        f"The data is nested more than {limit} levels deep.",
        remedy="No ComfyUI workflow is; look where the file comes from.",
    )


def _peeled(data: bytes, limit: int) -> bool:
    """Return whether brackets remain after the innermost pairs were taken away *limit* times."""
    shape = data.translate(_AS_SQUARE, _NOT_BRACKETS)
    run = b"[" * (limit + 1)
    for _ in range(limit):
        if run in shape:
            return True
        smaller = shape.replace(b"[]", b"")
        if len(smaller) == len(shape):
            break
        shape = smaller
    return len(shape) > limit


def repaired(data: bytes) -> bytes:
    """Return *data* as strict JSON in UTF-8: no byte order mark, NaN, or half of a character.

    ComfyUI writes NaN and Infinity into the prompts it saves; they become null here.

    Raises:
        WorkflowUnreadable: it is no JSON in any of the ways we know.
        RecursionError: it is nested too deeply.
    """
    import json  # most files are strict JSON, and are read without it

    try:
        text = data.decode(json.detect_encoding(data), "replace")
        value = json.loads(
            text, parse_constant=lambda _: None, parse_float=_finite, parse_int=_short
        )
    except ValueError as error:
        raise not_json(data, str(error)) from error
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


def not_json(data: bytes, said: str) -> WorkflowUnreadable:
    if not data.strip():
        return WorkflowUnreadable(
            "The file is empty.", remedy="Save the workflow again; it may still be being written."
        )
    return WorkflowUnreadable(
        f"The file is no JSON: {said[:200]}.",
        remedy="Export the workflow again, or correct the file at that place.",
    )


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _short(text: str) -> int | None:
    return int(text) if len(text) <= _LONGEST_INTEGER else None
