"""Stores what an event says and the jobs that follow from it, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.domain.files import Digests, Reading, parts_of
from comfywatchman.domain.jobs import AnalyzeWorkflow, Cause, FetchModel
from comfywatchman.domain.messages import (
    DownloadFailed,
    Event,
    ModelCorrupt,
    ModelFound,
    ModelIndexed,
    ModelMoved,
    ModelPlaced,
    ModelRemoved,
    ModelVerified,
    ReferenceAmbiguous,
    ReferenceResolved,
    RootOnline,
    WorkflowAnalyzed,
    WorkflowRemoved,
)
from comfywatchman.domain.references import Analysis, Finding, ReferenceState
from comfywatchman.pipeline import concerned
from comfywatchman.pipeline.patience import PASSING
from comfywatchman.pipeline.rules import next_jobs
from comfywatchman.state import (
    care,
    choices,
    hashes,
    jobs,
    loose,
    models,
    placed,
    promises,
    unlooked,
    verified,
    workflows,
)
from comfywatchman.state.lookups import Lookups

if TYPE_CHECKING:
    from comfywatchman.state.keeper import Connection


INDEX = "index"
"""The bell of the thread that has model files measured."""

_TO_MEASURE = (ModelFound, ModelMoved, RootOnline, WorkflowAnalyzed)
"""After these another file may be the one to measure next."""


_Wanted = Mapping[tuple[str, str], str]
"""The state of what a workflow asks for, by folder and name."""


def record(connection: Connection, event: Event, now: float) -> set[str]:
    """Store *event* and its jobs; return the bells to ring: kinds of job that got work, `INDEX`.

    *now* is seconds since the epoch.
    """
    if isinstance(event, WorkflowAnalyzed) and _was_saved(connection, event):
        event = replace(event, cause=Cause.CHANGED)
    before = concerned.bytes_of(connection, event)
    wanted = _wanted_by(connection, event)
    _store(connection, event, now)
    _close_what_is_over(connection, event, wanted, now)
    waiting = {
        *concerned.by_name(connection, event),
        *concerned.by_bytes(connection, event, before),
    }
    asked = frozenset(wanted) if _is_lesson(event) else frozenset()
    follow = next_jobs(event, waiting=tuple(sorted(waiting)), asked=asked)
    if isinstance(event, WorkflowAnalyzed):
        doubted = {key for key, state in wanted.items() if state in promises.UNDECIDED}
        if _overtaken(connection, event, doubted, now):
            follow.append(AnalyzeWorkflow(event.analysis.path, Cause.ARRIVED))
    kinds: set[str] = set()
    if follow:
        kinds = jobs.enqueue(connection, follow, now, priority=_priority(connection, event))
    return kinds | {INDEX} if _is_to_measure(event, wanted) else kinds


def _is_to_measure(event: Event, wanted: _Wanted) -> bool:
    """Whether another file may be the one to measure next.

    That a workflow got what it was known to want is no news of that kind.
    """
    if not isinstance(event, WorkflowAnalyzed) or event.cause in {Cause.CHANGED, Cause.LEARNED}:
        return isinstance(event, _TO_MEASURE)
    for finding in event.analysis.findings:
        reference = finding.reference
        before = wanted.get((reference.folder or "", workflows.natural(reference.name)))
        news = finding.state.value != before and finding.state is not ReferenceState.PRESENT
        if reference.active and (before is None or news):
            return True
    return False


def _was_saved(connection: Connection, event: WorkflowAnalyzed) -> bool:
    """Whether the file was written since it was read last, whatever it is looked at for now.

    To the settle thread it is no news any more after this, and what it lacks is to be looked for.
    """
    known = workflows.stamp_of(connection, event.analysis.path)
    return known is not None and event.stamp is not None and event.stamp != known


def _priority(connection: Connection, event: Event) -> int:
    """Return how urgently what follows is wanted: as that which led to it."""
    match event:
        case WorkflowAnalyzed(analysis=analysis):
            return max(0, jobs.priority_of(connection, "analyze", str(analysis.path)))
        case ReferenceResolved(folder=folder, name=name):
            return jobs.priority_of(connection, "resolve", f"{folder}/{name}")
        case _:
            return 0


def _is_lesson(event: Event) -> bool:
    """Whether only what a workflow was not known to ask for is to be looked for."""
    return isinstance(event, WorkflowAnalyzed) and event.cause is Cause.LEARNED


def _wanted_by(connection: Connection, event: Event) -> _Wanted:
    """Return what the workflow is known to ask for that *event* is about."""
    match event:
        case WorkflowAnalyzed(analysis=Analysis(path=path)) | WorkflowRemoved(path=path):
            return workflows.wants_of(connection, path)
        case _:
            return {}


def _close_what_is_over(connection: Connection, event: Event, wanted: _Wanted, now: float) -> None:
    """Close what failed for models that are here now, or that nobody asks for any more.

    Of the latter, what waits for a person and what is still to be fetched are closed as well.
    """
    over, left_open, asked = set(), set(), set()
    if isinstance(event, WorkflowAnalyzed):
        for finding in event.analysis.findings:
            reference = finding.reference
            key = (reference.folder or "", workflows.natural(reference.name))
            if reference.active:
                asked.add(key)
            if not reference.active or reference.folder is None:
                continue
            if _is_over(connection, finding):
                over.add(key)
            elif finding.trouble is None:  # another node may not find what is here for the first
                left_open.add(key)
        over -= left_open
    left = wanted.keys() - asked
    unwanted = left - workflows.asked_among(connection, left)
    over |= unwanted
    if isinstance(event, WorkflowRemoved):
        _close_questions(connection, unwanted)
    jobs.over(connection, [f"{folder}/{name}" for folder, name in over], now)
    jobs.unwanted(connection, [f"{folder}/{name}" for folder, name in unwanted], now)


def _close_questions(connection: Connection, unwanted: Set[tuple[str, str]]) -> None:
    """Close the questions about models that nobody asks for any more, but for a person's order."""
    if not unwanted:
        return
    for folder, name in unwanted & choices.open_names(connection):
        row = jobs.by_key(connection, FetchModel.kind, f"{folder}/{name}")
        ordered = row is not None and isinstance(row.job, FetchModel) and row.job.by_person
        if row is None or not ordered or row.state == jobs.DONE:
            choices.settle(connection, folder, name)


def _is_over(connection: Connection, finding: Finding) -> bool:
    """Whether it is no matter any more that no source was known, or that none would serve.

    What is not here, and what is here otherwise while some workflow says where the right one is
    from, may still be brought.
    """
    if finding.state is ReferenceState.MISSING:
        return False
    if not finding.lacking:
        return True
    reference = finding.reference
    return not workflows.wanted(connection, reference.folder or "", reference.name).urls


def record_found(connection: Connection, found: Sequence[ModelFound], now: float) -> set[str]:
    """Store many found files at once, as a first sweep finds them, and the jobs that follow."""
    promised = promises.Promised(connection)
    losing = [promised.losing(event.path, event.stamp) for event in found]
    models.note_found(
        connection, [(f.path, f.stamp, f.whole) for f in found if f.stamp is not None]
    )
    for event in found:
        if event.trouble is not None:
            unlooked.blame(connection, event.path, event.trouble)
    return {INDEX} | _follow_many(connection, found, losing, now)


def record_indexed(connection: Connection, read: Sequence[ModelIndexed], now: float) -> set[str]:
    """Store what files were measured to be; while no workflow asks for any, nothing follows."""
    if workflows.any_wants(connection):
        return set().union(*(record(connection, event, now) for event in read))
    for event in read:
        hashes.measured(connection, event.path, event.reading)
    return set()


def record_removed(connection: Connection, gone: Sequence[ModelRemoved], now: float) -> set[str]:
    """Forget many files at once; return the bells to ring."""
    promised = promises.Promised(connection)
    losing = [promised.losing(event.path) for event in gone]
    models.forget_many(connection, [event.path for event in gone])
    return _follow_many(connection, gone, losing, now)


def _follow_many(
    connection: Connection,
    events: Sequence[ModelFound | ModelRemoved],
    losing: Sequence[set[Path]],
    now: float,
) -> set[str]:
    """Store the jobs that follow from many events, for most of which nothing does.

    *losing* are, for each event, the workflows that state the bytes which went with it.
    """
    kinds: set[str] = set()
    if not workflows.any_wants(connection):
        return kinds
    asked, any_loose = Lookups(connection), loose.anybody(connection)
    for event, losers in zip(events, losing, strict=True):
        waiting = losers.union(*map(asked.wanting, parts_of(event.path.name)))
        if any_loose:
            waiting |= {*loose.taking(connection, event.path)}
        if waiting:
            follow = next_jobs(event, waiting=tuple(sorted(waiting)))
            kinds |= jobs.enqueue(connection, follow, now)
    return kinds


def _overtaken(
    connection: Connection,
    event: WorkflowAnalyzed,
    doubted: Set[tuple[str, str]],
    now: float,
) -> bool:
    """Whether what the analysis saw of a file is no more so.

    Its news went to the workflows that were known to ask for it then; this one was not yet.
    *doubted* is what this one was known to leave open.
    """
    began = now - event.duration_seconds - _QUEUED_SECONDS
    first = event.cause in {Cause.CHANGED, Cause.LEARNED}
    for finding in event.analysis.findings:
        match finding.state:
            case ReferenceState.ARRIVING if finding.path is not None:
                over = models.whole_since(connection, finding.path, began)
                over = over or (first and models.blamed_since(connection, finding.path, began))
            case ReferenceState.ELSEWHERE if finding.path is not None and finding.same_bytes:
                over = finding.sha256 not in promises.proven(connection, finding.path)
            case ReferenceState.ELSEWHERE | ReferenceState.AMBIGUOUS:
                asked = finding.reference
                news = asked.active and (
                    (asked.folder or "", workflows.natural(asked.name)) not in doubted
                )
                over = news and promises.measured_since(connection, asked.name, began)
            case ReferenceState.MISSING if first:
                # Asked once: a row may be of a file that is gone, which the next sweep notices.
                over = promises.known(connection, finding.reference)
            case _:
                over = False
        if over:
            return True
    return False


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
        case ModelMoved():
            _store_moved(connection, event)
        case ModelRemoved(path=path):
            models.forget(connection, path)
        case RootOnline(root=root):
            hashes.try_again(connection, root, now)
        case ModelVerified() | ModelCorrupt():
            _store_checked(connection, event)
        case ModelPlaced():
            _store_placed(connection, event, now)
        case ReferenceAmbiguous() | ReferenceResolved() | DownloadFailed():
            _store_question(connection, event, now)
        case _:
            pass


def _store_moved(connection: Connection, event: ModelMoved) -> None:
    path, stamp = event.path, event.stamp
    if stamp is None:
        return
    if not event.exchanged:
        models.move(connection, event.before, path, stamp)
    else:
        models.note(connection, path, stamp, whole=True)
        if event.reading is not None:
            hashes.measured(connection, path, event.reading)
    if not event.same_bytes:
        hashes.forget_bytes(connection, path)
    elif not event.proven:
        hashes.doubt(connection, path)


def _store_question(
    connection: Connection,
    event: ReferenceAmbiguous | ReferenceResolved | DownloadFailed,
    now: float,
) -> None:
    match event:
        case ReferenceAmbiguous(folder=folder, name=name):
            choices.ask(connection, event, now)
            jobs.withdrawn(connection, f"{folder}/{name}", now)
        case ReferenceResolved(folder=folder, name=name, sources=sources, chosen=chosen):
            choices.settle(connection, folder, name, sources[0] if chosen else None)
            if chosen:
                jobs.settled(connection, f"{folder}/{name}", now)
        case DownloadFailed(folder=folder, name=name, trouble=trouble):
            if trouble.code not in PASSING:
                choices.forget_answer(connection, folder, name, trouble)


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
    fetched = jobs.by_key(connection, FetchModel.kind, f"{event.folder}/{event.name}")
    if fetched is not None and isinstance(fetched.job, FetchModel):
        verified.note(connection, fetched.job, event.measured, event.source, now)
    choices.settle(connection, event.folder, event.name)
    jobs.settled(connection, f"{event.folder}/{event.name}", now)


def _digests_of(connection: Connection, event: ModelPlaced) -> Digests:
    """Return what else is known of the bytes: of a link, whatever its first name was read for."""
    first = hashes.known(connection, event.linked_from) if event.linked_from else None
    if first is not None and first.sha256 == event.measured.sha256:
        return first.digests
    return Digests(sample=event.sample)
