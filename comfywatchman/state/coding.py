"""Domain values to the bytes of a column, and back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from comfywatchman.disk.decoding import decoder_of
from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.files import alike

T = TypeVar("T")

_UNDECODABLE = "\0hex:"
"""Marks a path that is not UTF-8; no path holds a NUL."""


def dumps(value: object) -> bytes:
    """Return *value* as JSON; text that quotes a name which is not UTF-8 is stored escaped."""
    try:
        return _ENCODER.encode(value)
    except UnicodeEncodeError:
        return _ENCODER.encode(_storable(msgspec.to_builtins(value, enc_hook=_path_to)))


def loads(data: bytes, kind: type[T]) -> T:
    return decoder_of(kind, _path_from).decode(data)


def trouble_bytes(trouble: Trouble | None) -> bytes | None:
    return None if trouble is None else dumps(trouble)


def trouble_from(data: bytes | None) -> Trouble | None:
    return None if data is None else loads(data, Trouble)


def searchable(text: str) -> str:
    """Return *text* as it is compared (`alike`), and text that SQL can hold."""
    if text.isascii():
        return text.lower()
    return alike(text).encode("utf-8", "backslashreplace").decode()


def natural_key(text: str) -> str:
    """Return *text* as a key: itself, or an unambiguous spelling where it is not UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


def _path_to(value: Any) -> str:
    if not isinstance(value, Path):
        raise NotImplementedError(f"cannot store {type(value)}")
    text = str(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        return _UNDECODABLE + os.fsencode(value).hex()
    return text


def _path_from(kind: type, value: Any) -> Any:
    if kind is not Path:
        raise NotImplementedError(f"cannot read {kind}")
    if value.startswith(_UNDECODABLE):
        return Path(os.fsdecode(bytes.fromhex(value.removeprefix(_UNDECODABLE))))
    return Path(value)


def _storable(value: Any) -> Any:
    """Walk JSON's own types; ``Any`` because that is what JSON is."""
    match value:
        case str():
            return natural_key(value)
        case dict():
            return {key: _storable(each) for key, each in value.items()}
        case list() | tuple():
            return [_storable(each) for each in value]
        case _:
            return value


_ENCODER = msgspec.json.Encoder(enc_hook=_path_to)
