"""The head of a file of any format."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from comfywatchman.disk import gguf
from comfywatchman.disk.errors import reading_failed
from comfywatchman.disk.files import open_regular
from comfywatchman.disk.heads import archive, onnx, safetensors
from comfywatchman.disk.heads.pickles import read_pickles
from comfywatchman.disk.heads.values import Head
from comfywatchman.disk.structure import PICKLE_SUFFIXES, kind_of

_BEGINNING = 4096


def read_head(source: Path | int, suffix: str) -> Head:
    """Return what the head of a file says; nothing is loaded, and what is read is bounded.

    Args:
        source: a path, or an open descriptor, which is left open.
        suffix: of its name, with the dot: ONNX has no signature of its own.

    Raises:
        FileUnreadable, DiskFailed
    """
    path = Path(f"/dev/fd/{source}") if isinstance(source, int) else source
    descriptor = source if isinstance(source, int) else open_regular(source)
    try:
        with open(descriptor, "rb", closefd=not isinstance(source, int)) as file:
            file.seek(0)
            return _head(file, os.fstat(descriptor).st_size, suffix.lower())
    except OSError as error:
        raise reading_failed(error, path) from error


def _head(file: BinaryIO, size: int, suffix: str) -> Head:
    kind = kind_of(file.read(_BEGINNING), size)
    readers: dict[str, Callable[[BinaryIO, int], Head]] = {
        "safetensors": safetensors.head,
        "gguf": gguf.head,
        "zip": archive.head,
        "pickle": _pickle,
    }
    reader = readers.get(kind)
    if reader is not None:
        return reader(file, size)
    if suffix == ".onnx" and kind in {"unknown", "text"}:
        return onnx.head(file, size)
    if suffix in PICKLE_SUFFIXES and kind in {"unknown", "text"}:
        # The oldest protocols begin with nothing of their own, and run code just the same.
        found = _pickle(file, size)
        if found.scan is not None and (found.scan.pickles or found.scan.imports):
            return found
    return Head(kind)


def _pickle(file: BinaryIO, _: int) -> Head:
    file.seek(0)
    found = read_pickles(file)
    return Head("pickle", found.tensors, scan=found.scan)
