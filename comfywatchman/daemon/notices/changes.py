"""What an event changes, in words of the log. Pure."""

from __future__ import annotations

from pathlib import Path

from comfywatchman.domain.messages import (
    DaemonReady,
    DaemonStopping,
    DownloadFailed,
    DownloadQuarantined,
    DownloadRetrying,
    DownloadStarted,
    DownloadVerified,
    ErrorMet,
    Event,
    JobFailed,
    JobSetAside,
    ModelChanged,
    ModelCorrupt,
    ModelPlaced,
    ModelRemoved,
    ReferenceAmbiguous,
    ReferenceResolved,
    ReferenceUnresolved,
    RootOffline,
    RootOnline,
    WatchDegraded,
    WorkflowAnalyzed,
    WorkflowRemoved,
)
from comfywatchman.domain.notices import NOTICES, Change
from comfywatchman.report.events import lines

NEW_SETTINGS = "new settings"
"""Why the parts stop and begin anew although the daemon goes on."""

AT_ONCE = (
    DaemonReady,
    DaemonStopping,
    DownloadStarted,
    DownloadQuarantined,
    JobFailed,
    JobSetAside,
    WatchDegraded,
    ErrorMet,
)
"""Events that are told and not stored, so that what they change is stored by itself."""

STORED = (
    WorkflowAnalyzed,
    WorkflowRemoved,
    ReferenceResolved,
    ReferenceAmbiguous,
    ReferenceUnresolved,
    DownloadVerified,
    DownloadRetrying,
    DownloadFailed,
    ModelPlaced,
    ModelCorrupt,
    ModelChanged,
    ModelRemoved,
    RootOffline,
    RootOnline,
)
"""Events that are stored, and what they change in the same transaction."""


def change_of(event: Event, process: str) -> Change | None:
    """Return what *event* says of the state of something, or ``None`` where it says nothing.

    *process* tells this run of the daemon from all others.
    """
    subject = _subject(event)
    if subject is None:
        return None
    if isinstance(event, WorkflowAnalyzed):
        return _analyzed(event, subject)
    told = [line for line in lines(event) if line.event in NOTICES]
    if not told:
        return None
    line = told[0]
    state = line.event.partition(".")[2]
    if isinstance(event, DaemonReady):
        state = f"{state} {process}"
    elif isinstance(event, ErrorMet):
        state = event.trouble.cause
    return Change(line.event, subject, state, line.level, line.fields)


def _analyzed(event: WorkflowAnalyzed, subject: str) -> Change | None:
    """Tell whether a workflow is ready, in one notice: what its lines say, together."""
    state = event.analysis.state.value
    name = f"workflow.{state}"
    if name not in NOTICES:
        return Change("", subject, state)
    fields: dict[str, object] = {}
    for line in lines(event):
        fields |= line.fields
    return Change(name, subject, state, "info" if state == "ready" else "warning", fields)


def over(event: Event) -> tuple[str, ...]:
    """Return the subjects whose next state is news, whichever it is: what they were is over."""
    match event:
        case WorkflowAnalyzed():
            return (_job("analyze", str(event.analysis.path)),)
        case ModelPlaced(path=path) | ModelChanged(path=path) | ModelRemoved(path=path):
            return (_file(path),)
        case _:
            return ()


def _subject(event: Event) -> str | None:  # noqa: PLR0911  # one row for each event: a table
    match event:
        case DaemonReady():
            return "daemon"
        case DaemonStopping(reason=reason):
            return None if reason == NEW_SETTINGS else "daemon"
        case WorkflowAnalyzed():
            return f"workflow {event.analysis.path}"
        case WorkflowRemoved(path=path):
            return f"workflow {path}"
        case (
            ReferenceResolved(folder=folder, name=name)
            | ReferenceAmbiguous(folder=folder, name=name)
            | ReferenceUnresolved(folder=folder, name=name)
            | DownloadStarted(folder=folder, name=name)
            | DownloadRetrying(folder=folder, name=name)
            | DownloadFailed(folder=folder, name=name)
            | DownloadQuarantined(folder=folder, name=name)
            | DownloadVerified(folder=folder, name=name)
            | ModelPlaced(folder=folder, name=name)
        ):
            return f"model {folder}/{name}"
        case ModelCorrupt(path=path):
            return _file(path)
        case WatchDegraded(root=root) | RootOffline(root=root) | RootOnline(root=root):
            return f"root {root}"
        case JobFailed(kind=kind, key=key) | JobSetAside(kind=kind, key=key):
            return _job(kind, key)
        case ErrorMet(trouble=trouble, path=path):
            return f"error {trouble.code} {path or ''}"
        case _:
            return None


def _file(path: Path) -> str:
    return f"file {path}"


def _job(kind: str, key: str) -> str:
    return f"job {kind} {key}"
