"""Stores what an event says and the jobs that follow from it, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.domain.files import Digests, Reading
from comfywatchman.domain.jobs import AnalyzeWorkflow, Cause
from comfywatchman.domain.messages import (
    Event,
    ModelChanged,
    ModelCorrupt,
    ModelFound,
    ModelIndexed,
    ModelMoved,
    ModelPlaced,
    ModelRemoved,
    ModelVerified,
    ReferenceAmbiguous,
    ReferenceResolved,
    RootOffline,
    RootOnline,
    WorkflowAnalyzed,
    WorkflowRemoved,
)
from comfywatchman.domain.references import ReferenceState
from comfywatchman.pipeline.rules import next_jobs
from comfywatchman.state import care, hashes, jobs, models, placed, unlooked, workflows
from comfywatchman.state.lookups import Lookups

if TYPE_CHECKING:
    from comfywatchman.state.keeper import Connection


INDEX = "index"
"""The bell of the thread that has model files measured."""

_TO_MEASURE = (ModelFound, ModelMoved, WorkflowAnalyzed)
"""After these another file may be the one to measure next."""


def record(connection: Connection, event: Event, now: float) -> set[str]:
    """Store *event* and its jobs; return the bells to ring: kinds of job that got work, `INDEX`.

    *now* is seconds since the epoch.
    """
    asked = _asked_before(connection, event)
    _store(connection, event, now)
    follow = next_jobs(event, waiting=_waiting(connection, event), asked=asked)
    if isinstance(event, WorkflowAnalyzed) and _overtaken(connection, event, now):
        follow.append(AnalyzeWorkflow(event.analysis.path, Cause.ARRIVED))
    kinds = jobs.enqueue(connection, follow, now, priority=_priority(connection, event))
    return kinds | {INDEX} if isinstance(event, _TO_MEASURE) else kinds


def _priority(connection: Connection, event: Event) -> int:
    """Return how urgently what follows is wanted: as that which led to it."""
    match event:
        case WorkflowAnalyzed(analysis=analysis):
            return jobs.priority_of(connection, "analyze", str(analysis.path))
        case ReferenceResolved(folder=folder, name=name):
            return jobs.priority_of(connection, "resolve", f"{folder}/{name}")
        case _:
            return 0


def _asked_before(connection: Connection, event: Event) -> frozenset[tuple[str, str]]:
    """Return folder and name of what an analyzed workflow was known to ask for until now."""
    if isinstance(event, WorkflowAnalyzed) and event.cause is Cause.LEARNED:
        return workflows.wants_of(connection, event.analysis.path)
    return frozenset()


def record_found(connection: Connection, found: Sequence[ModelFound], now: float) -> set[str]:
    """Store many found files at once, as a first sweep finds them, and the jobs that follow."""
    models.note_found(
        connection, [(f.path, f.stamp, f.whole) for f in found if f.stamp is not None]
    )
    for event in found:
        if event.trouble is not None:
            unlooked.blame(connection, event.path, event.trouble)
    return {INDEX} | _follow_many(connection, found, now)


def record_removed(connection: Connection, gone: Sequence[ModelRemoved], now: float) -> set[str]:
    """Forget many files at once; return the bells to ring."""
    models.forget_many(connection, [event.path for event in gone])
    return _follow_many(connection, gone, now)


def _follow_many(
    connection: Connection, events: Sequence[ModelFound | ModelRemoved], now: float
) -> set[str]:
    """Store the jobs that follow from many events, for most of which nothing does."""
    kinds: set[str] = set()
    if not workflows.any_wants(connection):
        return kinds
    asked = Lookups(connection)
    for event in events:
        waiting = asked.wanting(event.path.name)
        if waiting:
            kinds |= jobs.enqueue(connection, next_jobs(event, waiting=waiting), now)
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
            models.note(connection, path, stamp, whole=whole, trouble=event.trouble)
        case ModelIndexed(path=path, reading=reading):
            hashes.measured(connection, path, reading)
        case ModelMoved(path=path, before=before, stamp=stamp) if stamp is not None:
            models.move(connection, before, path, stamp)
            if not event.same_bytes:
                hashes.forget_bytes(connection, path)
        case ModelRemoved(path=path):
            models.forget(connection, path)
        case ModelVerified() | ModelCorrupt():
            _store_checked(connection, event)
        case ModelPlaced():
            _store_placed(connection, event, now)
        case ReferenceAmbiguous():
            workflows.ask(connection, event, now)
        case ReferenceResolved(folder=folder, name=name):
            workflows.settle_choice(connection, folder, name)
        case _:
            pass


def _store_checked(connection: Connection, event: ModelVerified | ModelCorrupt) -> None:
    if isinstance(event, ModelVerified):
        care.verified(connection, event.path, event.reading)
    elif event.reading is None:
        unlooked.blame(connection, event.path, event.trouble)
    else:
        care.decayed(connection, event.path, event.reading, event.trouble)


def _store_placed(connection: Connection, event: ModelPlaced, now: float) -> None:
    if event.stamp is not None:
        # A new hard link changes the stamp of the file under its older names, not its bytes.
        others = models.same_inode(connection, event.stamp) if event.linked_from else []
        digests = _digests_of(connection, event)
        for path in (event.path, *(file.path for file in others)):
            models.note(connection, path, event.stamp, whole=True)
        reading = Reading(event.stamp, event.measured, int(now * 1e9), digests)
        hashes.measured(connection, event.path, reading)
    placed.note(connection, event, now)
    workflows.settle_choice(connection, event.folder, event.name)
    jobs.settled(connection, f"{event.folder}/{event.name}", now)


def _digests_of(connection: Connection, event: ModelPlaced) -> Digests:
    """Return what else is known of the bytes: of a link, whatever its first name was read for."""
    first = hashes.known(connection, event.linked_from) if event.linked_from else None
    if first is not None and first.sha256 == event.measured.sha256:
        return first.digests
    return Digests(sample=event.sample)


def _waiting(connection: Connection, event: Event) -> tuple[Path, ...]:
    match event:
        case ModelIndexed(path=path, measured=measured):
            found = {
                *workflows.wanting_bytes(connection, measured.sha256),
                *workflows.doubting(connection, path.name, measured.sha256),
            }
            return tuple(sorted(found))
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
        case RootOffline(root=root) | RootOnline(root=root):
            return tuple(workflows.wanting_from(connection, root))
        case _:
            return ()
