"""Writing an export to a file: over an earlier one, and over nothing else."""

from __future__ import annotations

import os
from pathlib import Path

from comfywatchman.disk.errors import writing_failed
from comfywatchman.domain.errors import NameTaken

_BEGINNINGS = (
    b'{"schema_version":',
    b'"path","folder","name"',
    b"#!/bin/sh\n# Fetches ",
    b"# Fetches ",
    b'{\n  "lock_version": ',
)
"""How our own exports begin."""


def write_export(path: Path, data: bytes) -> None:
    """Write *data* in one step.

    Raises:
        NameTaken: there is a file of that name which is no export.
        FolderNotWritable, DiskFull, DiskFailed
    """
    if path.exists() and not _is_ours(path):
        raise NameTaken(
            f"{path} is there and is no export of ours.",
            remedy="Choose another name, or move it away.",
        )
    staged = path.with_name(f".{path.name[:200]}.{os.getpid()}.part")
    try:
        staged.write_bytes(data)
        staged.replace(path)
    except OSError as error:
        staged.unlink(missing_ok=True)
        raise writing_failed(error, path) from error


def _is_ours(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            begins = file.read(32)
    except OSError:
        return False
    return not begins or begins.startswith(_BEGINNINGS)
