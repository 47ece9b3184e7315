"""What follows from what: one pure function from an event to the jobs it gives rise to."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from comfywatchman.domain.jobs import AnalyzeWorkflow, Cause, FetchModel, Job, ResolveReference
from comfywatchman.domain.messages import (
    DaemonReady,
    DaemonStarted,
    DaemonStopped,
    DaemonStopping,
    DownloadFailed,
    DownloadPaused,
    DownloadProgressed,
    DownloadQuarantined,
    DownloadQueued,
    DownloadRetrying,
    DownloadStarted,
    DownloadVerified,
    ErrorMet,
    Event,
    InventoryProgressed,
    JobFailed,
    JobSetAside,
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
    ReferenceUnresolved,
    RootOffline,
    RootOnline,
    SearchAsked,
    SweepFinished,
    SweepStarted,
    WatchDegraded,
    WatchOverflowed,
    WatchStarted,
    WorkflowAnalyzed,
    WorkflowRemoved,
    WorkflowSettled,
)


def next_jobs(  # noqa: PLR0911 - one return for each kind of consequence
    event: Event,
    *,
    waiting: tuple[Path, ...] = (),
    asked: frozenset[tuple[str, str]] = frozenset(),
) -> list[Job]:
    """Return the jobs that *event* gives rise to.

    *waiting* are the workflows that ask for the model the event is about; a model that arrives,
    from us or from anybody else, is a reason to look at them again. *asked* are folder and name of
    what an analyzed workflow was known to ask for before.
    """
    match event:
        case WorkflowSettled(path=path):
            return [AnalyzeWorkflow(path)]
        case WorkflowAnalyzed(analysis=analysis, cause=cause):
            if cause not in {Cause.CHANGED, Cause.LEARNED}:
                # All that was missing was asked for then; what is missing since, somebody removed.
                return []
            known = asked if cause is Cause.LEARNED else frozenset()
            return [
                ResolveReference(finding.reference.folder, finding.reference.name)
                for finding in analysis.fetchable
                if finding.reference.folder is not None
                and (finding.reference.folder, finding.reference.name) not in known
            ]
        case ReferenceResolved(folder=folder, name=name, sources=sources, chosen=chosen):
            return [FetchModel(folder, name, sources, chosen)]
        case ModelPlaced() | ModelFound() | ModelIndexed() | ModelVerified() | RootOnline():
            return [AnalyzeWorkflow(path, Cause.ARRIVED) for path in waiting]
        case ModelRemoved() | ModelChanged() | ModelMoved() | ModelCorrupt() | RootOffline():
            return [AnalyzeWorkflow(path, Cause.REMOVED) for path in waiting]
        case (
            DaemonStarted()
            | DaemonReady()
            | DaemonStopping()
            | DaemonStopped()
            | WatchStarted()
            | WatchDegraded()
            | WatchOverflowed()
            | SweepStarted()
            | SweepFinished()
            | WorkflowRemoved()
            | ReferenceAmbiguous()
            | ReferenceUnresolved()
            | SearchAsked()
            | DownloadQueued()
            | DownloadStarted()
            | DownloadProgressed()
            | DownloadVerified()
            | DownloadQuarantined()
            | DownloadPaused()
            | DownloadRetrying()
            | DownloadFailed()
            | InventoryProgressed()
            | JobFailed()
            | JobSetAside()
            | ErrorMet()
        ):
            return []
        case _:
            assert_never(event)
