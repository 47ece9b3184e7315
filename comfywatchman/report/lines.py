"""What a line of the log is, and every event that one may be about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

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
    "inventory.progress": "how far measuring is and how long it will take, at most once a minute",
    "model.verified": "a model file was read again and is as it was",
    "model.changed": "the bytes of a model file may be other ones now",
    "model.removed": "a model file is gone",
    "model.moved": "a model file has another name now",
    "model.corrupt": "a file is not what its name says, or its bytes changed and nothing wrote it",
    "model.placed": "a verified file got its final name",
    "model.linked": "a file that is here already got another name; nothing was fetched",
    "sweep.started": "every tree is walked and compared",
    "sweep.finished": "the walk is done; `drift` is what no notification had told",
    "reference.resolved": "a source was chosen for a missing model",
    "reference.ambiguous": "a person has to choose the source",
    "reference.unresolved": "no source can be used",
    "catalog.stale": "a list of known models could not be fetched; an older one is used",
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
    "download.paused": "we broke the transfer off ourselves; what came is kept (`reason`)",
    "download.unverifiable": "the bytes arrived, and nobody publishes a hash that proves them",
    "webhook.delivered": "an event was posted",
    "webhook.failed": "an event could not be posted",
    "job.failed": "a job ended without success",
    "job.set_aside": "a job ended the process too often and is not tried again",
    "watchdog.withheld": "a thread has ended or is stuck; the service manager is not fed",
    "watchdog.resumed": "every thread lives and gets on again",
    "clock.stepped": "the time of day was set back; timers are due as if it was not",
    "thread.left_behind": "a thread stands before a disk that does not answer; we end without it",
    "error.met": "something outside a job went wrong",
}
"""Every event name of ours and what it means; ``docs/metrics.md`` lists them."""


@dataclass(frozen=True, slots=True)
class Line:
    """One log record without its time."""

    event: str
    level: Level
    fields: Mapping[str, object]


def line(event: str, level: Level = "info", /, **fields: object) -> Line:
    return Line(event, level, fields)
