"""Which stored analyses are made anew at a start: by other means than before, or not ready."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.domain.files import Folders
from comfywatchman.domain.jobs import AnalyzeWorkflow, Cause
from comfywatchman.parsing.tables import shipped_texts
from comfywatchman.state import jobs, node_types, workflows

if TYPE_CHECKING:
    from comfywatchman.config.analysis import Analyze
    from comfywatchman.state.keeper import Connection

ANALYSIS = 1
"""Counts changes of what is found in a workflow, or told of it, between two releases."""

_NAME = "analysis"
_BEHIND = -1
"""The priority of what nobody waits for: what is dropped meanwhile comes first."""


def means(wanted: Analyze, folders: Folders) -> str:
    """Return a digest of all that an analysis depends on besides the workflow and the models.

    What a server taught is not among it: whoever learns has the workflows looked at again.
    """
    parts = [version("comfywatchman"), str(ANALYSIS), *shipped_texts(), repr(wanted)]
    parts += _told(folders)
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()


def _told(folders: Folders) -> Iterator[str]:
    for name, folder in sorted(folders.table.items()):
        yield f"{name} {[*map(str, folder.roots)]} {sorted(folder.suffixes)} {folder.write_root}"
    yield str(folders.models_root)


def look_again(connection: Connection, stamp: str) -> None:
    """Have analyses made anew: all of them, if they were made by other means than *stamp* says.

    Else only of what is not ready: what stood in the way may be gone.
    """
    before = node_types.known(connection, _NAME)
    if before is not None and before.stamp == stamp:
        paths, otherwise = workflows.not_ready(connection), Cause.ARRIVED
    else:
        paths, otherwise = workflows.paths(connection), Cause.LEARNED
    now = time.time()
    asked = [AnalyzeWorkflow(path, _cause(connection, path, otherwise)) for path in paths]
    jobs.enqueue(connection, asked, now, priority=_BEHIND)
    node_types.note_known(connection, _NAME, stamp, {}, now)


def _cause(connection: Connection, path: Path, otherwise: Cause) -> Cause:
    """Return why *path* is analyzed: what was refused may be looked for now.

    What somebody removed is not fetched again.
    """
    analysis = workflows.one(connection, path)
    if analysis is None:
        return Cause.CHANGED
    refused = analysis.content.trouble is not None or any(f.trouble for f in analysis.findings)
    return Cause.CHANGED if refused else otherwise
