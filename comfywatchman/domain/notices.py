"""What people and programs are told of: changes of state, and their names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

NOTICES: Mapping[str, str] = {
    "daemon.ready": "the daemon runs, and the first sweep is done",
    "daemon.stopping": "the daemon was asked to end",
    "workflow.ready": "every model that the workflow names is here",
    "workflow.blocked": "the workflow lacks models",
    "workflow.unreadable": "the file could not be read as a workflow",
    "workflow.removed": "the workflow file is gone",
    "reference.resolved": "a source was chosen for a missing model",
    "reference.ambiguous": "a person has to choose the source of a missing model",
    "reference.unresolved": "no source of a missing model can be used",
    "download.started": "the transfer of a model began",
    "download.retrying": "a transfer failed and is tried again later",
    "download.failed": "a transfer was given up",
    "download.quarantined": "the bytes that came are not the promised ones; they were put aside",
    "download.verified": "the bytes of a model arrived and are the promised ones",
    "download.unverifiable": "the bytes of a model arrived, and nobody publishes a hash for them",
    "model.placed": "a verified file got its final name",
    "model.linked": "a file that is here already got another name; nothing was fetched",
    "model.corrupt": "a file is not what its name says, or its bytes changed and nothing wrote it",
    "watch.degraded": "part of a directory tree is only swept, not watched",
    "watch.root_offline": "a watched directory is gone; nothing counts as removed",
    "watch.root_online": "the directory is back",
    "job.failed": "a job ended without success",
    "job.set_aside": "a job met a bug too often and is not tried again",
    "config.rejected": "new settings are wrong; the old ones stay in force",
    "config.reloaded": "settings that were wrong are right now",
    "error.met": "something outside a job went wrong: a disk, a folder",
    "notify.test": "somebody asked for a notice, to see whether it comes",
}
"""Every event that can be told, and what it means; ``docs/notices.md`` lists them."""

ALIASES: Mapping[str, Collection[str]] = {
    "workflow.analyzed": ("workflow.ready", "workflow.blocked", "workflow.unreadable"),
}
"""Names of the log that stand for several."""

FOR_PEOPLE = (
    "workflow.ready",
    "workflow.unreadable",
    "reference.ambiguous",
    "reference.unresolved",
    "download.failed",
    "download.quarantined",
    "model.corrupt",
    "watch.degraded",
    "watch.root_offline",
    "watch.root_online",
    "job.set_aside",
    "config.rejected",
    "error.met",
)
"""What chat and mail services are told unless the settings say otherwise: a person is needed, or
waited for it."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something is in another state than before, and is told of if that is so."""

    event: str
    """One of `NOTICES`."""
    subject: str
    """What changed: ``workflow /path``, ``model loras/x.safetensors``, …"""
    state: str
    """Its state now; told only where that is not the one that was told last."""
    level: str = "info"
    data: Mapping[str, object] = field(default_factory=dict)
    """As in the log."""


def fits(event: str, patterns: Collection[str]) -> bool:
    """Whether *patterns*, names of `NOTICES` or of `ALIASES` or with ``*``, mean *event*.

    None at all means every event.
    """
    if not patterns or event == "notify.test":
        return True
    return any(
        fnmatchcase(event, pattern) or event in ALIASES.get(pattern, ()) for pattern in patterns
    )


def is_known(pattern: str) -> bool:
    """Whether *pattern* means at least one event."""
    return pattern in ALIASES or any(fnmatchcase(name, pattern) for name in NOTICES)
