"""Writing an export to a file: over an earlier one, and over nothing else."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from comfywatchman.disk.errors import writing_failed
from comfywatchman.disk.publish import publish
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
    if os.path.lexists(path) and not _is_ours(path):
        raise NameTaken(
            f"{path} is there and is no export of ours.",
            remedy="Choose another name, or move it away.",
        )
    staged = path.with_name(f".{path.name[:200]}.{os.getpid()}.part")
    try:
        staged.write_bytes(data)
        staged.replace(path)
    except OSError as error:
        with suppress(OSError):  # on a read-only disk even the removal of nothing fails
            staged.unlink(missing_ok=True)
        raise writing_failed(error, path) from error


def write_new(path: Path, data: bytes) -> None:
    """Write *data* in one step, for its owner alone, and over nothing.

    Raises:
        FileExistsError: there is something of that name.
        FolderNotWritable, DiskFull, DiskFailed
    """
    if os.path.lexists(path):
        raise FileExistsError(path)
    staged = path.with_name(f".{path.name[:200]}.{os.getpid()}.part")
    try:
        descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                _publish(staged, path, file.fileno())
        except OSError:
            with suppress(OSError):
                staged.unlink(missing_ok=True)
            raise
    except FileExistsError:
        raise
    except OSError as error:
        raise writing_failed(error, path) from error


def _publish(staged: Path, path: Path, descriptor: int) -> None:
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        publish(directory, staged.name, path.name, descriptor)
    finally:
        os.close(directory)


def _is_ours(path: Path) -> bool:
    if not os.path.isfile(path):  # noqa: PTH113 - whatever cannot be looked at is none
        return False
    try:
        with path.open("rb") as file:
            begins = file.read(32)
    except OSError:
        return False
    return not begins or begins.startswith(_BEGINNINGS)
