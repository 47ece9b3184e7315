"""One file, read: what it says and the SHA-256 of its bytes."""

from __future__ import annotations

import hashlib
import os
from typing import BinaryIO

from comfywatchman.analyze.formats import read_workflow
from comfywatchman.analyze.limits import Limits
from comfywatchman.analyze.loaders import Tables
from comfywatchman.domain.errors import WorkflowTooLarge
from comfywatchman.domain.references import WorkflowContent
from comfywatchman.parsing.wire import Answer

_BLOCK = 1 << 20


def read_answer(source: BinaryIO, filename: str, tables: Tables, limits: Limits) -> Answer:
    """Read an open file from its beginning.

    Raises:
        OSError: the disk failed.
        MemoryError: the file needs more than the process may use.
    """
    size = source.seek(0, os.SEEK_END)
    if size > limits.max_file_bytes:
        trouble = WorkflowTooLarge(
            f"The file has {size} bytes; we read at most {limits.max_file_bytes}.",
            remedy="If it is a workflow, save it as JSON; otherwise there is nothing to do.",
        ).trouble()
        return Answer(WorkflowContent("unknown", "none", trouble=trouble))
    source.seek(0)
    digest = hashlib.sha256()
    while block := source.read(_BLOCK):
        digest.update(block)
    source.seek(0)
    return Answer(
        read_workflow(source, filename, tables, limits, findings=True), digest.hexdigest()
    )
