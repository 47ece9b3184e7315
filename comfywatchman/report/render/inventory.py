"""Model files as rows: for JSON, for CSV, and for people."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from comfywatchman.domain.errors import Trouble
from comfywatchman.report.render.inspection import ClaimRow
from comfywatchman.report.visible import encodable

SCHEMA_VERSION = 1

_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would run (OWASP, CSV injection)."""


class ModelRow(Struct, frozen=True, kw_only=True):
    """A model file under one of its names."""

    path: str
    folder: str | None
    """``None`` where no folder of ComfyUI lists it."""
    name: str
    size: int
    sha256: str | None
    """Measured; after decay still the good one."""
    whole: bool
    error: Trouble | None = None
    """Why no loader could use it as it is."""
    autov1: str | None = None
    autov2: str | None = None
    autov3: str | None = None
    after_sha256: str | None = None
    """Of the bytes after a safetensors header."""
    blake3: str | None = None
    differs: str | None = None
    """The other SHA-256 that a later reading gave, though nothing had written to the file."""
    measured_at: str | None = None
    """RFC 3339, UTC."""
    verified_at: str | None = None
    """When all of it was last read and found as measured."""
    modified_at: str
    device: int
    inode: int
    claims: tuple[ClaimRow, ...] = ()
    """What hash caches of other programs say; nobody measured that."""


class Export(Struct, frozen=True, kw_only=True):
    schema_version: int
    comfyui_root: str
    models: tuple[ModelRow, ...]


_NESTED = frozenset({"error", "claims"})
COLUMNS: tuple[str, ...] = (
    *(name for name in ModelRow.__struct_fields__ if name not in _NESTED),
    "error_code",
    "error_cause",
    "error_remedy",
    "claimed_by",
    "claimed_sha256",
)


def to_csv(rows: Iterable[ModelRow]) -> str:
    """Return the rows with a head line; every cell is quoted, and none is a formula."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_cell(value) for value in _cells(row)])
    return out.getvalue()


def _cells(row: ModelRow) -> Sequence[Any]:
    """Return the values in the order of `COLUMNS`; ``Any`` because cells are of every type."""
    values: dict[str, Any] = msgspec.structs.asdict(row)
    error, told = row.error, next((claim for claim in row.claims if claim.sha256), None)
    values |= {
        "error_code": error.code if error else None,
        "error_cause": error.cause if error else None,
        "error_remedy": error.remedy if error else None,
        "claimed_by": told.source if told else None,
        "claimed_sha256": told.sha256 if told else None,
    }
    return [values[column] for column in COLUMNS]


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = encodable(str(value))
    return f"'{text}" if text.startswith(_FORMULAS) and not isinstance(value, int) else text
