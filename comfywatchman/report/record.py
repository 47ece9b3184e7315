"""A log record on its way to bytes: made plain, redacted, shortened, written as one line.

Nothing in here may raise for anything that a caller puts into a log line.
"""

from __future__ import annotations

import dataclasses
import json
import math
import traceback
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import Enum
from itertools import islice
from pathlib import PurePath
from types import TracebackType
from typing import Any, ClassVar, Protocol, TypeGuard

from comfywatchman.domain.errors import WatchmanError
from comfywatchman.report.redaction import HIDDEN, Redaction, tells_a_secret
from comfywatchman.report.visible import LINE_BREAKERS, encodable, visible

MOST_BYTES = 16 * 1024
"""journald splits lines above 48 KB; whoever collects our lines may split earlier."""

TRACEBACK_BYTES = 8 * 1024

Record = dict[str, object]
Fields = Mapping[Any, object]
"""What a caller hands over: keys may be of any type, and are made strings."""
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

_MOST_INTEGER = 2**63 - 1
"""Beyond it, readers of JSON that use 64 bits fail or round."""

_DEPTH = 6
_MARGIN = 1024


class _Value(Protocol):
    """An instance of a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


_FIRST = ("timestamp", "level", "event", "logger")


@dataclasses.dataclass(frozen=True, slots=True)
class _Limits:
    text: int
    items: int


_LIMITS = (_Limits(4096, 100), _Limits(512, 20), _Limits(120, 5))
"""Tried in turn until the record fits."""


def timestamp(now: datetime) -> str:
    """Return *now* as RFC 3339 in UTC with microseconds and ``Z``."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def told(exc_info: ExcInfo, redaction: Redaction) -> str:
    """Return the traceback without local variables, its middle left out where it is long."""
    text = redaction.text(encodable("".join(traceback.format_exception(*exc_info)).rstrip()))
    half = TRACEBACK_BYTES // 2
    raw = text.encode()
    if len(raw) <= TRACEBACK_BYTES:
        return text
    first, last = raw[: half - 20], raw[20 - half :]
    return first.decode(errors="ignore") + "\n[…]\n" + last.decode(errors="ignore")


def plain(fields: Fields, redaction: Redaction) -> Record:
    """Return *fields* as JSON can hold them, without secrets."""
    return _object(fields, redaction, _LIMITS[0], 0)


def to_json(record: Mapping[str, object]) -> bytes:
    """Return *record*, which is plain, as one line of JSON of at most `MOST_BYTES`, no newline."""
    written = _dumped(record)
    if len(written) <= MOST_BYTES:
        return written
    for limits in _LIMITS[1:]:
        shorter = _object(record, Redaction(), limits, 0)
        written = _dumped({**shorter, "shortened": True})
        if len(written) <= MOST_BYTES:
            return written
    bare = {key: record[key] for key in _FIRST if key in record}
    return _dumped({**_object({**bare}, Redaction(), _LIMITS[-1], 0), "shortened": True})


def to_text(record: Mapping[str, object]) -> bytes:
    """Return *record*, which is plain, as one line for a person: time, level, event, fields."""
    head = f"{record.get('timestamp', '')} {record.get('level', ''):<7} {record.get('event', '')}"
    pairs = [
        f"{key}={_value(value)}"
        for key, value in record.items()
        if key not in {*_FIRST, "exception"} and value is not None
    ]
    line = visible("  ".join([head, *pairs]))
    trace = record.get("exception")
    if isinstance(trace, str):
        line += "".join("\n    " + visible(part) for part in trace.splitlines())
    return line.encode()[:MOST_BYTES].decode(errors="ignore").encode()


def _value(value: object) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False) if " " in value or not value else value
    return _dumped(value).decode()


def _dumped(value: object) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.translate(LINE_BREAKERS).encode()


def _object(fields: Fields, redaction: Redaction, limits: _Limits, depth: int) -> Record:
    found: Record = {}
    for key, value in islice(fields.items(), limits.items):
        name = _shown(_word(key), redaction, 200)
        hide = tells_a_secret(name) and value not in (None, "", True, False)
        found[name] = HIDDEN if hide else _plain(value, redaction, limits, depth, name)
    return found


def _plain(  # noqa: PLR0911  # one return for each kind of value
    value: object, redaction: Redaction, limits: _Limits, depth: int, key: str = ""
) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return _plain(value.value, redaction, limits, depth)
    if isinstance(value, int):
        return int(value) if -_MOST_INTEGER <= value <= _MOST_INTEGER else _cut(hex(value), 100)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    most = TRACEBACK_BYTES if key == "exception" and limits is _LIMITS[0] else limits.text
    if isinstance(value, str | PurePath):
        return _shown(encodable(str(value)[: most + _MARGIN]), redaction, most)
    if depth >= _DEPTH:
        return "…"
    if isinstance(value, WatchmanError):
        value = value.trouble()
    if isinstance(value, Mapping):
        return _object(value, redaction, limits, depth + 1)
    if _is_value(value):
        pairs = {f.name: getattr(value, f.name, None) for f in dataclasses.fields(value)}
        return _object(pairs, redaction, limits, depth + 1)
    if isinstance(value, list | tuple | set | frozenset):
        return _list(value, redaction, limits, depth + 1)
    return _shown(_word(value), redaction, most)


def _is_value(value: object) -> TypeGuard[_Value]:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _list(
    values: Iterable[object], redaction: Redaction, limits: _Limits, depth: int
) -> list[object]:
    return [_plain(value, redaction, limits, depth) for value in islice(values, limits.items)]


def _word(value: object) -> str:
    if isinstance(value, str):
        return encodable(value)
    try:
        return encodable(str(value))
    except Exception:  # noqa: BLE001  # a broken __str__ of anybody must not end in our caller
        return f"<{type(value).__name__}>"


def _shown(text: str, redaction: Redaction, most: int) -> str:
    """Redact before cutting: half a secret looks like none."""
    return _cut(redaction.text(text[: most + _MARGIN]), most)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
