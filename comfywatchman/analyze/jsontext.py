"""JSON from strangers: what a browser forgives made strict, what is huge made small, and places."""

from __future__ import annotations

import math
import re
from itertools import islice

import msgspec

from comfywatchman.domain.errors import WorkflowTooDeep, WorkflowUnreadable

_AFTER_VALUE = rb"(?=\s*+(?:[,\]}]|\Z))"
_NAN = re.compile(rb"(?<![^\s:,\[])NaN" + _AFTER_VALUE)
_INFINITIES = (
    (re.compile(rb"(?<![^\s:,\[])-Infinity" + _AFTER_VALUE), b"null     "),
    (re.compile(rb"(?<![^\s:,\[])Infinity" + _AFTER_VALUE), b"null    "),
)
"""Where they stand for a value, and what replaces them, as long as they are."""

_ENDLESS = re.compile(
    rb"(?<![^\s:,\[])-?(?:\d[\d.]*[eE]\+?\d{3,}|\d{300,}[\d.eE+-]*)" + _AFTER_VALUE
)
_LARGE_EXPONENT = re.compile(rb"[eE][+-]?\d{3}")
_LARGE_EXPONENTS = re.compile(rb"(?<=[\s,\[:-])\d[\d.]*+([eE][+-]?\d{3,}+)" + _AFTER_VALUE)
_LONGEST_TEXT = 1 << 20
_IN_A_TEXT = re.compile(rb"[^-+.,:\[\]{}\s0-9aefilnrstuyEIN]")
"""What stands between texts nowhere: no sign, digit, or letter of true, null, Infinity, …"""

_WRONG_BYTES = re.compile("[\udc80-\udcff]")
_BACKSLASH = ord("\\")
_FEW_NUMBERS = 2_000
"""Numbers with large exponents that may stay: reading each takes 25 microseconds at most."""

_EXPONENT = re.compile(rb"[eE]\+?\d{3}")
_DIGITS = re.compile(rb"\d{300}")
"""One of these is in every endless number; looking for them is cheaper."""

_HALF = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a character
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_LONGEST_INTEGER = 1000
"""Digits. Python refuses to read integers of more than 4,300, and no node has one of 1,000."""

_SIGNS = ((b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32"), (b"\xff\xfe", "utf-16"),
          (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))  # fmt: skip
"""Byte order marks, the longer ones first."""

_ZEROS = {
    (True, True, True, False): "utf-32-be",
    (False, True, True, True): "utf-32-le",
    (True, False, True, False): "utf-16-be",
    (False, True, False, True): "utf-16-le",
}
"""Which of the first four bytes are zero; JSON begins with two ASCII characters."""

_PLACE = re.compile(r"\(byte (\d+)\)")
_PIECE = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_MOST_PIECES = 200_000
"""Brackets and strings that are looked at to say where a text becomes too deep."""

_SURELY_DEEP = 500
"""Levels; decoders give up at a thousand and more, each at its own number."""


def repaired(data: bytes) -> bytes:
    """Return *data* as JSON in UTF-8 without NaN, Infinity and half characters.

    ComfyUI writes NaN and Infinity into the prompts it saves; they become null here. Half
    characters become U+FFFD and bytes that are no UTF-8 become U+007F, by which no file is sought.
    """
    data = _as_utf8(data)
    if b"NaN" in data:
        data = _replaced(_NAN, b"null", data)
    if b"Infinity" in data:
        for pattern, null in _INFINITIES:
            data = _replaced(pattern, null, data)
    return _replaced(_HALF, rb"\ufffd", data) if b"\\u" in data else data


def without_long_texts(data: bytes) -> bytes:
    """Return *data* without what makes a text in it longer than some mebibytes.

    Such a text is a picture and names no model; once decoded it can take four times its bytes.
    Where it has quotation marks in it, the stretches between them count as texts.

    Raises:
        msgspec.DecodeError: *data* is no JSON.
    """
    if len(data) < 2 * _LONGEST_TEXT:
        return data
    parts: list[bytes] = []
    kept = 0
    for block in range(_LONGEST_TEXT, len(data) - _LONGEST_TEXT, _LONGEST_TEXT):
        end = block + _LONGEST_TEXT
        if block < kept or data.find(b'"', block, end) >= 0:
            continue
        if _IN_A_TEXT.search(data, block, end) is None:  # nothing but numbers
            continue
        start, end = data.rfind(b'"', 0, block) + 1, data.find(b'"', block)
        if start == 0 or end < 0:
            return data
        while data[end - 1] == _BACKSLASH:  # half of an escape, which stays whole
            end -= 1
        parts.append(data[kept:start])
        kept = end
    if not parts:
        return data
    msgspec.json.decode(data, type=msgspec.Raw)  # what was left out must be as sound as the rest
    return b"".join((*parts, data[kept:]))


def without_extremes(data: bytes, few: int = _FEW_NUMBERS) -> bytes:
    """Return *data* without its exponents of three and more digits, if more than a *few* have them.

    Only where no number is expected the decoder reads numbers by itself (see `shapes.decoder`), and
    then takes 25 microseconds for each 1e308, a thousand times what others take. Such a place
    means nothing, and neither do numbers of that size in widgets.
    """
    if sum(1 for _ in islice(_LARGE_EXPONENT.finditer(data), few + 1)) <= few:
        return data
    return _replaced(_LARGE_EXPONENTS, b"", data)


def with_finite_numbers(data: bytes) -> bytes:
    """Return *data* with null for numbers that are beyond every size."""
    if _EXPONENT.search(data) is None and _DIGITS.search(data) is None:
        return data
    parts = bytearray()
    end = 0
    for found in _ENDLESS.finditer(data):
        parts += data[end : found.start()]
        parts += _if_finite(found[0])
        end = found.end()
    parts += data[end:]
    return bytes(parts)


def _replaced(pattern: re.Pattern[bytes], instead: bytes, data: bytes) -> bytes:
    """Do as ``pattern.sub`` does, without an object for every piece: there can be millions.

    Where the pattern has a group, only what that group matches is replaced.
    """
    parts = bytearray()
    end = 0
    for found in pattern.finditer(data):
        start, stop = found.span(pattern.groups)
        if start >= 0:
            parts += data[end:start]
            parts += instead
            end = stop
    parts += data[end:]
    return bytes(parts)


def _as_utf8(data: bytes) -> bytes:
    if data.isascii() and b"\0" not in data[:4]:
        return data
    encoding = _encoding(data)
    if encoding == "utf-8":  # a byte that is wrong there becomes one byte, so that places stay
        text = data.decode(encoding, "surrogateescape")
        return _WRONG_BYTES.sub("\x7f", text).encode("utf-8", "replace")
    return data.decode(encoding, "replace").encode("utf-8", "replace")


def _encoding(data: bytes) -> str:
    for mark, encoding in _SIGNS:
        if data.startswith(mark):
            return encoding
    zeros = tuple(byte == 0 for byte in data[:4].ljust(4))
    return _ZEROS.get((zeros[0], zeros[1], zeros[2], zeros[3]), "utf-8")


def _if_finite(number: bytes) -> bytes:
    if len(number) <= _LONGEST_INTEGER:
        try:
            if math.isfinite(float(number)):
                return number
        except ValueError:  # 1.2.3: the decoder says so better
            return number
    return b"null".ljust(len(number))


# -- what is wrong, and where


def too_deep(data: bytes) -> WorkflowTooDeep:
    place = _deep_place(data)
    where = "" if place is None else f" At byte {place} it is {_SURELY_DEEP} levels deep."
    return WorkflowTooDeep(
        f"The data is nested deeper than can be read.{where}",
        remedy="No ComfyUI workflow is; look where the file comes from.",
    )


def _deep_place(data: bytes) -> int | None:
    depth = 0
    for piece in islice(_PIECE.finditer(data), _MOST_PIECES):
        first = data[piece.start()]
        if first in b"[{":
            depth += 1
            if depth == _SURELY_DEEP:
                return piece.start()
        elif first in b"]}":
            depth -= 1
    return None


def not_json(data: bytes, said: str, what_it_is: str = "file") -> WorkflowUnreadable:
    """Say that *data* is no JSON, and where, by what the decoder *said* of it as `repaired`.

    *what_it_is*: the file itself, or the text in a picture.
    """
    if not data.strip():
        return WorkflowUnreadable(
            f"The {what_it_is} is empty.",
            remedy="Save the workflow again; it may still be being written.",
        )
    what = _PLACE.sub("", said)[:200].strip().removeprefix("JSON is malformed: ")
    return WorkflowUnreadable(
        f"The {what_it_is} is no JSON: {what} at {_where(data, said)}.",
        remedy="Export the workflow again, or correct the file at that place.",
    )


def _where(data: bytes, said: str) -> str:
    found = _PLACE.search(said)
    byte = len(data)
    if found is not None:
        longer = len(_NAN.findall(data, 0, int(found[1]))) if b"NaN" in data else 0  # than null
        behind = 1 if "trailing" in said else 0  # there the decoder has read one byte more
        byte = min(int(found[1]) - longer - behind, byte)
    line = data.count(b"\n", 0, byte) + 1
    begins = data.rfind(b"\n", 0, byte) + 1
    column = len(data[begins:byte].decode(errors="replace")) + 1
    return f"byte {byte} (line {line}, column {column})"
