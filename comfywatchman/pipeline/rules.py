"""What follows from what: one pure function from an event to the jobs it gives rise to."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from comfywatchman.domain.messages import (
    AnalyzeWorkflow,
    Cause,
    DaemonReady,
    DaemonStarted,
    DaemonStopped,
    DaemonStopping,
    DownloadFailed,
    DownloadProgressed,
    DownloadQuarantined,
    DownloadQueued,
    DownloadRetrying,
    DownloadStarted,
    DownloadVerified,
    ErrorMet,
    Event,
    FetchModel,
    Job,
    JobFailed,
    JobSetAside,
    ModelChanged,
    ModelCorrupt,
    ModelFound,
    ModelIndexed,
    ModelMoved,
    ModelPlaced,
    ModelRemoved,
    ReferenceAmbiguous,
    ReferenceResolved,
    ReferenceUnresolved,
    ResolveReference,
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
    event: Event, *, waiting: tuple[Path, ...] = ()
) -> list[Job]:
    """Return the jobs that *event* gives rise to.

    *waiting* are the workflows that ask for the model the event is about; a model that arrives,
    from us or from anybody else, is a reason to look at them again.
    """
    match event:
        case WorkflowSettled(path=path):
            return [AnalyzeWorkflow(path)]
        case WorkflowAnalyzed(analysis=analysis, cause=cause):
            if cause is not Cause.CHANGED:
                # All that was missing was asked for then; what is missing since, somebody removed.
                return []
            return [
                ResolveReference(finding.reference.folder, finding.reference.name)
                for finding in analysis.fetchable
                if finding.reference.folder is not None
            ]
        case ReferenceResolved(folder=folder, name=name, sources=sources):
            return [FetchModel(folder, name, sources)]
        case ModelPlaced() | ModelFound() | ModelIndexed():
            return [AnalyzeWorkflow(path, Cause.ARRIVED) for path in waiting]
        case ModelRemoved() | ModelChanged() | ModelMoved() | ModelCorrupt():
            return [AnalyzeWorkflow(path, Cause.REMOVED) for path in waiting]
        case (
            DaemonStarted()
            | DaemonReady()
            | DaemonStopping()
            | DaemonStopped()
            | WatchStarted()
            | WatchDegraded()
            | WatchOverflowed()
            | RootOffline()
            | RootOnline()
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
            | DownloadRetrying()
            | DownloadFailed()
            | JobFailed()
            | JobSetAside()
            | ErrorMet()
        ):
            return []
        case _:
            assert_never(event)
