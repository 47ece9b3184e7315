"""Stores what an event says and the jobs that follow from it, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.domain.messages import (
    AnalyzeWorkflow,
    Cause,
    Event,
    ModelChanged,
    ModelCorrupt,
    ModelFound,
    ModelIndexed,
    ModelMoved,
    ModelPlaced,
    ModelRemoved,
    ReferenceAmbiguous,
    ReferenceResolved,
    WorkflowAnalyzed,
    WorkflowRemoved,
)
from comfywatchman.domain.references import ReferenceState
from comfywatchman.pipeline.rules import next_jobs
from comfywatchman.state import jobs, models, workflows

if TYPE_CHECKING:
    from comfywatchman.state.keeper import Connection


def record(connection: Connection, event: Event, now: float) -> set[str]:
    """Store *event* and its jobs; return the kinds of job that got work.

    *now* is seconds since the epoch.
    """
    _store(connection, event, now)
    follow = next_jobs(event, waiting=_waiting(connection, event))
    if isinstance(event, WorkflowAnalyzed) and _overtaken(connection, event, now):
        follow.append(AnalyzeWorkflow(event.analysis.path, Cause.ARRIVED))
    return jobs.enqueue(connection, follow, now)


def record_found(connection: Connection, found: Sequence[ModelFound], now: float) -> set[str]:
    """Store many found files at once, as a first sweep finds them, and the jobs that follow."""
    models.note_found(
        connection, [(f.path, f.stamp, f.whole) for f in found if f.stamp is not None]
    )
    if not workflows.any_wants(connection):
        return set()
    kinds: set[str] = set()
    for event in found:
        follow = next_jobs(event, waiting=_waiting(connection, event))
        kinds |= jobs.enqueue(connection, follow, now)
    return kinds


def _overtaken(connection: Connection, event: WorkflowAnalyzed, now: float) -> bool:
    """Whether a file that was still arriving when the analysis looked is whole by now.

    Its news went to the workflows that were known to ask for it then; this one was not yet.
    """
    began = now - event.duration_seconds - _QUEUED_SECONDS
    return any(
        finding.state is ReferenceState.ARRIVING
        and finding.path is not None
        and models.whole_since(connection, finding.path, began)
        for finding in event.analysis.findings
    )


_QUEUED_SECONDS = 2.0
"""How long an analysis may wait to be stored after it was made."""


def _store(connection: Connection, event: Event, now: float) -> None:
    match event:
        case WorkflowAnalyzed(analysis=analysis, stamp=stamp):
            workflows.save(connection, analysis, stamp, now)
        case WorkflowRemoved(path=path):
            workflows.forget(connection, path)
        case ModelFound(path=path, stamp=stamp, whole=whole) if stamp is not None:
            models.note(connection, path, stamp, whole=whole)
        case ModelIndexed(path=path, stamp=stamp, measured=measured) if stamp is not None:
            models.measured(connection, path, stamp, measured.sha256, int(now * 1e9))
        case ModelMoved(path=path, before=before, stamp=stamp) if stamp is not None:
            models.move(connection, before, path, stamp)
        case ModelRemoved(path=path):
            models.forget(connection, path)
        case ModelPlaced():
            _store_placed(connection, event, now)
        case ReferenceAmbiguous():
            workflows.ask(connection, event, now)
        case ReferenceResolved(folder=folder, name=name):
            workflows.settle_choice(connection, folder, name)
        case _:
            pass


def _store_placed(connection: Connection, event: ModelPlaced, now: float) -> None:
    if event.stamp is not None:
        # A new hard link changes the stamp of the file under its older names, not its bytes.
        others = models.same_inode(connection, event.stamp) if event.linked_from else []
        for path in (event.path, *(file.path for file in others)):
            models.note(
                connection,
                path,
                event.stamp,
                whole=True,
                sha256=event.measured.sha256,
                measured_at_ns=int(now * 1e9),
            )
    workflows.note_placed(connection, event, now)
    workflows.settle_choice(connection, event.folder, event.name)
    jobs.settled(connection, f"{event.folder}/{event.name}", now)


def _waiting(connection: Connection, event: Event) -> tuple[Path, ...]:
    match event:
        case ModelIndexed(path=path, measured=measured):
            return tuple(workflows.wanting_bytes(connection, measured.sha256))
        case ModelMoved(path=path, before=before):
            names = {path.name, before.name}
            found = {w for name in names for w in workflows.wanting(connection, name)}
            return tuple(sorted(found))
        case (
            ModelPlaced(path=path)
            | ModelFound(path=path)
            | ModelRemoved(path=path)
            | ModelChanged(path=path)
            | ModelCorrupt(path=path)
        ):
            return tuple(workflows.wanting(connection, path.name))
        case _:
            return ()
