"""Each event as the line, or lines, that it becomes in the log. Pure: what to say, not where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, assert_never

from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.messages import (
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
from comfywatchman.domain.references import WorkflowState

Level = Literal["debug", "info", "warning", "error"]

NAMED_AT_MOST = 20
"""How many missing models one line names; the report names all."""

LOG_EVENTS: Mapping[str, str] = {
    "daemon.started": "the process is up and owns the state",
    "daemon.ready": "the first sweep is done and the address answers",
    "daemon.stopping": "a signal, a command or a bug ends the process",
    "daemon.stopped": "the last line of a clean stop",
    "config.loaded": "the settings were read at the start",
    "config.reloaded": "the settings were read again",
    "config.rejected": "new settings are wrong; the old ones stay in force",
    "watch.started": "a directory tree is watched",
    "watch.overflow": "the kernel threw notifications away; a sweep follows",
    "watch.degraded": "part of a tree is only swept, not watched",
    "watch.root_offline": "a watched directory is gone; nothing counts as removed",
    "watch.root_online": "the directory is back; a sweep follows",
    "workflow.settled": "a workflow file came to rest",
    "workflow.analyzed": "a workflow was read and compared with the disk",
    "workflow.ready": "every model that the workflow names is here",
    "workflow.removed": "a workflow file is gone",
    "workflow.unreadable": "a file could not be read as a workflow",
    "model.found": "a file came to rest in a model folder; its bytes are not measured yet",
    "model.indexed": "a model file was measured",
    "model.changed": "the bytes of a model file may be other ones now",
    "model.removed": "a model file is gone",
    "model.moved": "a model file has another name now",
    "model.corrupt": "the bytes of a model file are not what they were, though nothing wrote it",
    "model.placed": "a verified file got its final name",
    "model.linked": "a file that is here already got another name; nothing was fetched",
    "sweep.started": "every tree is walked and compared",
    "sweep.finished": "the walk is done; `drift` is what no notification had told",
    "reference.resolved": "a source was chosen for a missing model",
    "reference.ambiguous": "a person has to choose the source",
    "reference.unresolved": "no source can be used",
    "search.asked": "a backend was asked; the line after it tells how it went",
    "search.answered": "a backend answered, perhaps with nothing (`result` is `empty`)",
    "search.unavailable": "a backend could not be asked",
    "search.mismatch": "a backend answered about something else",
    "download.queued": "a model waits for its transfer",
    "download.started": "a transfer began",
    "download.progress": "how far a transfer is, every few seconds",
    "download.resumed": "the transfer goes on where an earlier one ended (`offset`)",
    "download.verified": "the bytes arrived and are the promised ones",
    "download.quarantined": "the bytes are not the promised ones; they were put aside",
    "download.failed": "the transfer was given up",
    "download.retrying": "the transfer is tried again later",
    "webhook.delivered": "an event was posted",
    "webhook.failed": "an event could not be posted",
    "job.failed": "a job ended without success",
    "job.set_aside": "a job ended the process too often and is not tried again",
    "error.met": "something outside a job went wrong",
}
"""Every event name of ours and what it means; ``docs/metrics.md`` lists them."""


@dataclass(frozen=True, slots=True)
class Line:
    """One log record without its time."""

    event: str
    level: Level
    fields: Mapping[str, object]


def lines(event: Event) -> tuple[Line, ...]:  # noqa: PLR0911, PLR0912  # one row for each event: a table
    """Return what the log says about *event*; more than one line where it is more than one news."""
    match event:
        case DaemonStarted():
            return (_line("daemon.started", path=event.comfyui_root, pid=event.pid),)
        case DaemonReady():
            took = event.duration_seconds
            return (_line("daemon.ready", duration_seconds=took, address=event.address),)
        case DaemonStopping():
            return (_line("daemon.stopping", reason=event.reason),)
        case DaemonStopped():
            return (_line("daemon.stopped", duration_seconds=event.duration_seconds),)
        case WatchStarted():
            return (
                _line(
                    "watch.started",
                    path=event.root,
                    kind=event.kind,
                    method=event.method,
                    directories=event.directories,
                ),
            )
        case WatchDegraded():
            return (_line("watch.degraded", "warning", path=event.root, error=event.trouble),)
        case WatchOverflowed():
            return (_line("watch.overflow", "warning"),)
        case RootOffline():
            return (_line("watch.root_offline", "warning", path=event.root, error=event.trouble),)
        case RootOnline():
            return (_line("watch.root_online", path=event.root),)
        case SweepStarted():
            return (_line("sweep.started", "debug", reason=event.reason),)
        case SweepFinished():
            return (_swept(event),)
        case WorkflowSettled():
            return (_line("workflow.settled", workflow=event.path, size=event.size),)
        case WorkflowRemoved():
            return (_line("workflow.removed", workflow=event.path),)
        case WorkflowAnalyzed():
            return _analyzed(event)
        case ModelFound():
            return (
                _line("model.found", "debug", path=event.path, size=event.size, whole=event.whole),
            )
        case ModelIndexed():
            return (
                _line(
                    "model.indexed",
                    folder=event.folder,
                    name=event.name,
                    path=event.path,
                    size=event.measured.size,
                    sha256=event.measured.sha256,
                    duration_seconds=event.duration_seconds,
                ),
            )
        case ModelChanged():
            return (_line("model.changed", path=event.path),)
        case ModelMoved():
            return (_line("model.moved", path=event.path, before=event.before),)
        case ModelRemoved():
            return (_line("model.removed", path=event.path),)
        case ModelCorrupt():
            return (_line("model.corrupt", "error", path=event.path, error=event.trouble),)
        case ReferenceResolved():
            return (_resolved(event),)
        case ReferenceAmbiguous():
            return (_open("reference.ambiguous", event, candidates=len(event.candidates)),)
        case ReferenceUnresolved():
            return (_open("reference.unresolved", event),)
        case SearchAsked():
            return _asked(event)
        case DownloadQueued():
            return (
                _line("download.queued", folder=event.folder, name=event.name, size=event.size),
            )
        case DownloadStarted():
            return _started(event)
        case DownloadProgressed():
            return (_progressed(event),)
        case DownloadVerified():
            return (_verified(event),)
        case DownloadQuarantined():
            return (_open("download.quarantined", event, path=event.path),)
        case DownloadRetrying():
            return (_open("download.retrying", event, retry_in_seconds=event.retry_in_seconds),)
        case DownloadFailed():
            return (_open("download.failed", event, source=event.source),)
        case ModelPlaced():
            return (_placed(event),)
        case JobFailed():
            return (_job("job.failed", "warning", event),)
        case JobSetAside():
            return (_job("job.set_aside", "error", event),)
        case ErrorMet():
            more = dict(event.fields)
            fields = {**more, "path": event.path, "error": event.trouble}
            return (Line("error.met", "warning", fields),)
        case _:
            assert_never(event)


def trouble_of(event: Event) -> Trouble | None:
    """Return what went wrong, where *event* tells of something that did."""
    if isinstance(event, WorkflowAnalyzed):
        return event.analysis.content.trouble
    trouble: Trouble | None = getattr(event, "trouble", None)
    return trouble


def _line(event: str, level: Level = "info", /, **fields: object) -> Line:
    return Line(event, level, fields)


def _swept(event: SweepFinished) -> Line:
    return _line(
        "sweep.finished",
        reason=event.reason,
        duration_seconds=event.duration_seconds,
        workflows=event.workflows,
        models=event.models,
        drift=dict(event.drift),
    )


def _analyzed(event: WorkflowAnalyzed) -> tuple[Line, ...]:
    analysis = event.analysis
    lacking = [finding for finding in analysis.findings if finding.lacking]
    analyzed = _line(
        "workflow.analyzed",
        workflow=analysis.path,
        sha256=analysis.sha256,
        state=analysis.state.value,
        references=len(analysis.findings),
        missing=len(lacking),
        models=[_spelled(f.reference.folder, f.reference.name) for f in lacking[:NAMED_AT_MOST]],
        cause=event.cause.value,
        duration_seconds=event.duration_seconds,
    )
    if analysis.state is WorkflowState.READY:
        ready = _line("workflow.ready", workflow=analysis.path, references=len(analysis.findings))
        return (analyzed, ready)
    if analysis.state is WorkflowState.UNREADABLE:
        trouble = analysis.content.trouble
        unreadable = _line("workflow.unreadable", "warning", workflow=analysis.path, error=trouble)
        return (analyzed, unreadable)
    return (analyzed,)


def _spelled(folder: str | None, name: str) -> str:
    return name if folder is None else f"{folder}/{name}"


def _resolved(event: ReferenceResolved) -> Line:
    best = event.sources[0] if event.sources else None
    return _line(
        "reference.resolved",
        folder=event.folder,
        name=event.name,
        source=best.backend if best else None,
        grade=best.grade.value if best else None,
        url=best.url if best else None,
        size=best.size if best else None,
        sha256=best.sha256 if best else None,
        sources=len(event.sources),
    )


def _open(
    name: str,
    event: ReferenceAmbiguous
    | ReferenceUnresolved
    | DownloadQuarantined
    | DownloadRetrying
    | DownloadFailed,
    /,
    **more: object,
) -> Line:
    """Something a person may have to act on, about one model."""
    return Line(
        name,
        "warning",
        {"folder": event.folder, "name": event.name, **more, "error": event.trouble},
    )


def _asked(event: SearchAsked) -> tuple[Line, Line]:
    about = {"source": event.backend, "folder": event.folder, "name": event.name}
    outcome = event.result if event.result in {"unavailable", "mismatch"} else "answered"
    level: Level = "info" if outcome == "answered" else "warning"
    fields = {
        **about,
        "result": event.result,
        "duration_seconds": event.duration_seconds,
        "error": event.trouble,
    }
    return Line("search.asked", "debug", about), Line(f"search.{outcome}", level, fields)


def _started(event: DownloadStarted) -> tuple[Line, ...]:
    fields = {
        "folder": event.folder,
        "name": event.name,
        "source": event.source,
        "host": event.host,
        "size": event.size,
        "offset": event.offset,
    }
    started = Line("download.started", "info", fields)
    return (started, Line("download.resumed", "info", fields)) if event.offset > 0 else (started,)


def _progressed(event: DownloadProgressed) -> Line:
    return _line(
        "download.progress",
        "debug",
        folder=event.folder,
        name=event.name,
        done=event.done,
        size=event.size,
        bytes_per_second=round(event.bytes_per_second),
    )


def _verified(event: DownloadVerified) -> Line:
    return _line(
        "download.verified",
        folder=event.folder,
        name=event.name,
        source=event.source,
        host=event.host,
        size=event.measured.size,
        sha256=event.measured.sha256,
        duration_seconds=event.duration_seconds,
        received=event.received,
    )


def _placed(event: ModelPlaced) -> Line:
    fields: dict[str, object] = {
        "folder": event.folder,
        "name": event.name,
        "path": event.path,
        "size": event.measured.size,
        "sha256": event.measured.sha256,
        "source": event.source,
    }
    if event.linked_from is None:
        return Line("model.placed", "info", fields)
    return Line("model.linked", "info", {**fields, "linked_from": event.linked_from})


def _job(name: str, level: Level, event: JobFailed | JobSetAside) -> Line:
    fields: dict[str, object] = {"job": f"{event.kind} {event.key}", "error": event.trouble}
    if event.kind == "analyze":
        fields["workflow"] = event.key
    return Line(name, level, fields)
