"""One file, read: what it says and the SHA-256 of its bytes."""

from __future__ import annotations

import hashlib
import os
from typing import BinaryIO

from comfywatchman.analyze.formats import read_in_memory, read_workflow
from comfywatchman.analyze.limits import Limits
from comfywatchman.analyze.loaders import Tables
from comfywatchman.parsing.wire import Answer

_BLOCK = 1 << 20


def read_answer(source: BinaryIO, filename: str, tables: Tables, limits: Limits) -> Answer:
    """Read an open file from its beginning.

    A small file is read once, into memory. Of a large one the bytes are read through for the hash,
    and then the places where texts are; of a still larger one those places only.

    Raises:
        OSError: the disk failed.
        MemoryError: the file needs more than the process may use.
    """
    source.seek(0)
    size = os.fstat(source.fileno()).st_size
    if size <= _BLOCK:
        data = source.read()
        content = read_in_memory(data, filename, tables, limits, findings=True)
        return Answer(content, hashlib.sha256(data).hexdigest())
    sha256 = _hashed(source) if size <= limits.max_hashed_bytes else ""
    source.seek(0)
    return Answer(read_workflow(source, filename, tables, limits, findings=True), sha256)


def _hashed(source: BinaryIO) -> str:
    digest = hashlib.sha256()
    block = bytearray(_BLOCK)
    while length := source.readinto(block):  # type: ignore[attr-defined]  # BinaryIO lacks it
        digest.update(memoryview(block)[:length])
    return digest.hexdigest()
