"""Each event as the line, or lines, that it becomes in the log. Pure: what to say, not where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from comfywatchman.domain.errors import Trouble
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
from comfywatchman.domain.references import WorkflowState
from comfywatchman.report.lines import NAMED_AT_MOST, Level, Line, line


def lines(event: Event) -> tuple[Line, ...]:  # noqa: PLR0911, PLR0912  # one row for each event: a table
    """Return what the log says about *event*; more than one line where it is more than one news."""
    match event:
        case DaemonStarted():
            return (line("daemon.started", path=event.comfyui_root, pid=event.pid),)
        case DaemonReady():
            took = event.duration_seconds
            return (line("daemon.ready", duration_seconds=took, address=event.address),)
        case DaemonStopping():
            return (line("daemon.stopping", reason=event.reason),)
        case DaemonStopped():
            return (line("daemon.stopped", duration_seconds=event.duration_seconds),)
        case WatchStarted():
            return (
                line(
                    "watch.started",
                    path=event.root,
                    kind=event.kind,
                    method=event.method,
                    directories=event.directories,
                ),
            )
        case WatchDegraded():
            return (line("watch.degraded", "warning", path=event.root, error=event.trouble),)
        case WatchOverflowed():
            return (line("watch.overflow", "warning"),)
        case RootOffline():
            return (line("watch.root_offline", "warning", path=event.root, error=event.trouble),)
        case RootOnline():
            return (line("watch.root_online", path=event.root),)
        case SweepStarted():
            return (line("sweep.started", "debug", reason=event.reason),)
        case SweepFinished():
            return (_swept(event),)
        case WorkflowSettled():
            return (line("workflow.settled", workflow=event.path, size=event.size),)
        case WorkflowRemoved():
            return (line("workflow.removed", workflow=event.path),)
        case WorkflowAnalyzed():
            return _analyzed(event)
        case ModelFound():
            return (
                line("model.found", "debug", path=event.path, size=event.size, whole=event.whole),
            )
        case ModelIndexed():
            return (
                line(
                    "model.indexed",
                    folder=event.folder,
                    name=event.name,
                    path=event.path,
                    size=event.measured.size,
                    sha256=event.measured.sha256,
                    duration_seconds=event.duration_seconds,
                ),
            )
        case ModelVerified(path=path, reading=reading):
            found = reading.measured
            return (
                line("model.verified", "debug", path=path, size=found.size, sha256=found.sha256),
            )
        case InventoryProgressed():
            return (_measuring(event),)
        case ModelChanged():
            return (line("model.changed", path=event.path),)
        case ModelMoved():
            return (line("model.moved", path=event.path, before=event.before),)
        case ModelRemoved():
            return (line("model.removed", path=event.path),)
        case ModelCorrupt():
            return (_corrupt(event),)
        case ReferenceResolved():
            return (_resolved(event),)
        case ReferenceAmbiguous():
            return (_open("reference.ambiguous", event, candidates=len(event.candidates)),)
        case ReferenceUnresolved():
            return (_open("reference.unresolved", event),)
        case SearchAsked():
            return _asked(event)
        case DownloadQueued():
            return (line("download.queued", folder=event.folder, name=event.name, size=event.size),)
        case DownloadStarted():
            return _started(event)
        case DownloadProgressed():
            return (_progressed(event),)
        case DownloadVerified():
            return (_verified(event),)
        case DownloadQuarantined():
            return (_open("download.quarantined", event, path=event.path),)
        case DownloadPaused():
            about = {"folder": event.folder, "name": event.name}
            return (line("download.paused", **about, reason=event.reason, done=event.done),)
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


def _measuring(event: InventoryProgressed) -> Line:
    left = event.remaining_seconds
    return line(
        "inventory.progress",
        files=event.files,
        size=event.size,
        bytes_per_second=round(event.bytes_per_second),
        remaining_seconds=None if left is None else round(left),
        paused=event.paused,
    )


def _corrupt(event: ModelCorrupt) -> Line:
    decayed = event.reading is not None
    found = {"sha256": event.reading.measured.sha256} if event.reading is not None else {}
    level: Level = "error" if decayed else "warning"
    return Line("model.corrupt", level, {"path": event.path, **found, "error": event.trouble})


def _swept(event: SweepFinished) -> Line:
    return line(
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
    secrets = sum(remark.code == "secret" for remark in analysis.content.findings)
    analyzed = line(
        "workflow.analyzed",
        "warning" if secrets else "info",
        workflow=analysis.path,
        sha256=analysis.sha256,
        state=analysis.state.value,
        references=len(analysis.findings),
        missing=len(lacking),
        models=[_spelled(f.reference.folder, f.reference.name) for f in lacking[:NAMED_AT_MOST]],
        cause=event.cause.value,
        duration_seconds=event.duration_seconds,
        **({"secrets": secrets} if secrets else {}),
    )
    if analysis.state is WorkflowState.READY:
        anew = [f.spelling for f in analysis.findings if f.reference.active and f.misspelled]
        more = {"select": anew[:NAMED_AT_MOST]} if anew else {}
        count = len(analysis.findings)
        ready = line("workflow.ready", workflow=analysis.path, references=count, **more)
        return (analyzed, ready)
    if analysis.state is WorkflowState.UNREADABLE:
        trouble = analysis.content.trouble
        unreadable = line("workflow.unreadable", "warning", workflow=analysis.path, error=trouble)
        return (analyzed, unreadable)
    return (analyzed,)


def _spelled(folder: str | None, name: str) -> str:
    return name if folder is None else f"{folder}/{name}"


def _resolved(event: ReferenceResolved) -> Line:
    best = event.sources[0] if event.sources else None
    return line(
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


def _asked(event: SearchAsked) -> tuple[Line, ...]:
    about = {"source": event.backend, "folder": event.folder, "name": event.name}
    outcome = event.result if event.result in {"unavailable", "mismatch"} else "answered"
    level: Level = "info" if outcome == "answered" else "warning"
    fields: dict[str, object] = {
        **about,
        "result": event.result,
        "duration_seconds": event.duration_seconds,
        "error": event.trouble,
    }
    asked = Line("search.asked", "debug", about)
    if not event.mismatches:
        return asked, Line(f"search.{outcome}", level, fields)
    told = (
        {"requested": each.requested, "returned": each.returned, "error": each.trouble}
        for each in event.mismatches
    )
    return asked, *(Line("search.mismatch", "warning", fields | each) for each in told)


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


_PROVEN: Mapping[bool, tuple[str, Level]] = {
    True: ("download.verified", "info"),
    False: ("download.unverifiable", "warning"),
}


def _progressed(event: DownloadProgressed) -> Line:
    left = event.remaining_seconds
    return line(
        "download.progress",
        "debug",
        folder=event.folder,
        name=event.name,
        done=event.done,
        size=event.size,
        bytes_per_second=round(event.bytes_per_second),
        remaining_seconds=None if left is None else round(left),
    )


def _verified(event: DownloadVerified) -> Line:
    name, level = _PROVEN[event.promised]
    return line(
        name,
        level,
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
