"""JSON answers from strangers: bounded, typed, and read as far as they go where they were cut."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from comfywatchman.disk.decoding import converted as as_kind
from comfywatchman.disk.decoding import decoder_of
from comfywatchman.domain.errors import WrongAnswer
from comfywatchman.resolve.asking import Answer, said

T = TypeVar("T")

_MARKS = re.compile(rb'"(?:[^"\\]+|\\.)*"?|[\[\]{}]', re.DOTALL)
"""Texts, the last one perhaps without its end, and brackets outside of texts."""
_DEEPEST = 100
_MOST = 150_000
"""Objects and lists of a cut answer; an honest one of this length has some ten thousand."""
_CLOSES = {ord("["): ord("]"), ord("{"): ord("}")}

NOT_DECODABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""What decoding raises: broken, of another type, no UTF-8, or nested without end."""


@dataclass(frozen=True, slots=True)
class Json:
    """What an answer says."""

    data: object
    cut: bool = False
    """It was longer than we read; *data* has what was complete."""


def read_json(answer: Answer, host: str) -> Json:
    """Decode the body of a good answer.

    Raises:
        WrongAnswer: a page, nothing, or nothing that can be decoded.
    """
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind.endswith("html"):
        raise _unreadable(host, "a web page")
    body = closed(answer.body) if answer.cut else answer.body
    if not body.strip():
        raise _unreadable(host, "an answer longer than we read" if answer.cut else "nothing")
    try:
        return Json(msgspec.json.decode(body), answer.cut)
    except NOT_DECODABLE as error:
        what = "JSON without an end to its nesting" if isinstance(error, RecursionError) else ""
        raise _unreadable(host, what or f"no JSON ({said(error, 60)})") from None


def closed(text: bytes) -> bytes:
    """Return the beginning of cut JSON that ends with a whole value, with its brackets closed.

    Empty where nothing is whole, or where it is nested deeper or has more parts than any answer.
    """
    if text.count(b"{") + text.count(b"[") > _MOST:
        return b""
    open_marks = bytearray()
    end, still_open = 0, b""
    for found in _MARKS.finditer(text):
        mark = found[0][0]
        if mark in _CLOSES:
            if len(open_marks) == _DEEPEST:
                return b""
            open_marks.append(mark)
        elif mark != ord('"'):
            if not open_marks or _CLOSES[open_marks.pop()] != mark:
                return b""
            end, still_open = found.end(), bytes(open_marks)
    return text[:end] + bytes(_CLOSES[mark] for mark in reversed(still_open))


def converted(data: object, kind: type[T], host: str, what: str) -> T:
    """Return *data* as *kind*.

    Raises:
        WrongAnswer: it has other fields or types.
    """
    try:
        return as_kind(data, kind)
    except NOT_DECODABLE as error:
        raise WrongAnswer(
            f"{host} answered about {what} in a form that we do not know: {said(error)}.",
            remedy="Nothing of the answer is used; if it lasts, look for a newer comfywatchman.",
        ) from None


def each(rows: object, kind: type[T]) -> tuple[list[T], int]:
    """Return the rows that can be read as *kind*, and how many cannot: one bad row costs itself."""
    if not isinstance(rows, list):
        return [], 0 if rows is None else 1
    read: list[T] = []
    decoder_of(kind)  # made by one thread at a time; converting uses the same
    for row in rows:
        try:
            read.append(msgspec.convert(row, kind))
        except NOT_DECODABLE:
            continue
    return read, len(rows) - len(read)


def _unreadable(host: str, what: str) -> WrongAnswer:
    return WrongAnswer(
        f"{host} answered with {what} where JSON was asked for.",
        remedy="Nothing of the answer is used. If it lasts, look at the site and at your proxy.",
    )
