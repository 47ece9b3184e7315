"""A state as one file of lines of JSON: its head, its rows, and a digest of all that at the end."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from comfywatchman.domain.errors import DiskFailed, StateUnusable

FORMAT = 1
"""Of the file; rises when an older program could not read it."""

_MARK = "comfywatchman_state"


@dataclass(frozen=True, slots=True)
class Head:
    revision: str
    """Of the database that the rows are from."""
    exported_at: float
    version: str = ""
    """Of the program that wrote it."""


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table, or a line of a file beside the database."""

    table: str = ""
    row: dict[str, object] | None = None
    file: str = ""
    text: str = ""


def write_bundle(path: Path, head: Head, lines: Iterable[Line]) -> int:
    """Write *lines* to *path* in one step, for its owner alone; return how many.

    Raises:
        DiskFailed: it cannot be written.
    """
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    count, digest = 0, hashlib.sha256()
    try:
        descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as plain:
            packed = gzip.GzipFile(fileobj=plain, mode="wb") if _is_packed(path) else None
            file = cast("IO[bytes]", plain if packed is None else packed)
            _put(file, digest, {_MARK: FORMAT, **_as_dict(head)})
            for line in lines:
                _put(file, digest, _line_out(line))
                count += 1
            file.write(_dumped({"end": True, "lines": count, "sha256": digest.hexdigest()}))
            if packed is not None:
                packed.close()
            plain.flush()
            os.fsync(plain.fileno())
        staged.replace(path)
    except OSError as error:
        with suppress(OSError):  # on a read-only disk even the removal of nothing fails
            staged.unlink(missing_ok=True)
        raise DiskFailed(
            f"{path} cannot be written: {error.strerror or error}.",
            remedy="Name a file in a directory that can be written, with room for it.",
        ) from error
    return count


def is_bundle(path: Path) -> bool:
    """Whether *path* begins as what `write_bundle` writes, packed or not, or is empty."""
    begins = f'{{"{_MARK}":'.encode()
    if not os.path.isfile(path):  # noqa: PTH113 - whatever cannot be looked at is none
        return False
    try:
        with path.open("rb") as plain:
            found = plain.read(len(begins))
            if found.startswith(b"\x1f\x8b"):
                plain.seek(0)
                with gzip.GzipFile(fileobj=plain) as packed:
                    found = packed.read(len(begins))
                    return found == begins
    except (OSError, EOFError, zlib.error):
        return False
    return not found or found == begins


def read_bundle(path: Path) -> tuple[Head, list[Line]]:
    """Return what *path* holds, all of it checked.

    Raises:
        StateUnusable: it is no bundle, was cut off, or is not as it was written.
    """
    try:
        with _opened(path) as file:
            return _read(path, file)
    except (OSError, EOFError, gzip.BadGzipFile) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise StateUnusable(f"{path} cannot be read: {said}.", remedy=_REMEDY) from error


_REMEDY = "Name a file that `comfywatchman state export` wrote, or a backup of the database."


def _read(path: Path, file: IO[bytes]) -> tuple[Head, list[Line]]:
    digest = hashlib.sha256()
    head: Head | None = None
    lines: list[Line] = []
    for raw in file:
        told = _parsed(path, raw)
        if head is None:
            head = _head(path, told)
        elif told.get("end") is True:
            if (told.get("lines"), told.get("sha256")) != (len(lines), digest.hexdigest()):
                raise StateUnusable(f"{path} is not as it was written.", remedy=_REMEDY)
            return head, lines
        else:
            lines.append(_line_in(path, told))
        digest.update(raw)
    raise StateUnusable(f"{path} was cut off: its last line is missing.", remedy=_REMEDY)


def _head(path: Path, told: dict[str, Any]) -> Head:
    if told.get(_MARK) != FORMAT or not isinstance(told.get("revision"), str):
        if isinstance(told.get(_MARK), int):
            raise StateUnusable(
                f"{path} was written by a newer version.", remedy="Install that version."
            )
        raise StateUnusable(f"{path} is no exported state.", remedy=_REMEDY)
    return Head(told["revision"], float(told.get("exported_at", 0)), str(told.get("version", "")))


def _parsed(path: Path, raw: bytes) -> dict[str, Any]:
    try:
        told = json.loads(raw)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise StateUnusable(f"{path} is no exported state.", remedy=_REMEDY)
    return told


def _line_in(path: Path, told: dict[str, Any]) -> Line:
    table, row, file = told.get("table"), told.get("row"), told.get("file")
    if isinstance(table, str) and isinstance(row, dict):
        return Line(table=table, row={name: _value_in(value) for name, value in row.items()})
    if isinstance(file, str):
        return Line(file=file, text=str(told.get("text", "")))
    raise StateUnusable(f"{path} is no exported state.", remedy=_REMEDY)


def _line_out(line: Line) -> dict[str, object]:
    if line.row is None:
        return {"file": line.file, "text": line.text}
    return {"table": line.table, "row": {k: _value_out(v) for k, v in line.row.items()}}


def _value_out(value: object) -> object:
    """Bytes are mostly text, and people read these files; those that are not go as Base64."""
    if not isinstance(value, bytes):
        return value
    try:
        return {"text": value.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def _value_in(value: object) -> object:
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("text"), str):
        return value["text"].encode()
    return base64.b64decode(str(value.get("base64", "")))


def _as_dict(head: Head) -> dict[str, object]:
    return {
        "revision": head.revision,
        "exported_at": head.exported_at,
        "version": head.version,
    }


def _put(file: IO[bytes], digest: Any, told: dict[str, object]) -> None:
    raw = _dumped(told)
    digest.update(raw)
    file.write(raw)


def _dumped(told: dict[str, object]) -> bytes:
    # Escaped: text from a damaged database may hold half of a character.
    return json.dumps(told, separators=(",", ":")).encode() + b"\n"


def _opened(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path, "rb")) if _is_packed(path) else path.open("rb")


def _is_packed(path: Path) -> bool:
    return path.suffix == ".gz"
