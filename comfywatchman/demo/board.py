"""What the log of the daemon has told so far."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Key = tuple[str, str]
"""Folder name and name of a model."""
Line = Mapping[str, object]

_GIVEN_UP = {
    "reference.ambiguous",
    "reference.unresolved",
    "download.failed",
    "download.quarantined",
}


@dataclass(slots=True)
class Board:
    """Takes log lines one after another; fields as in the contract's log section."""

    address: str | None = None
    """Of the daemon's HTTP server, once it is ready."""
    is_ready: bool = False
    settled: set[str] = field(default_factory=set)
    ready: set[str] = field(default_factory=set)
    """Workflows whose models are all here."""
    sources: dict[Key, str] = field(default_factory=dict)
    """Who named the source: workflow or catalog, with the grade."""
    under_way: dict[Key, int | None] = field(default_factory=dict)
    """Transfers and their sizes."""
    placed: dict[Key, Path] = field(default_factory=dict)
    failed: dict[Key, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    """What went wrong outside a model."""

    def take(self, line: Line) -> None:
        """Note what *line* tells."""
        event = str(line.get("event"))
        workflow = str(line.get("workflow"))
        key = str(line.get("folder")), str(line.get("name"))
        match event:
            case "daemon.ready":
                self.is_ready, address = True, line.get("address")
                self.address = None if address is None else str(address)
            case "workflow.settled":
                self.settled.add(workflow)
            case "workflow.ready":
                self.ready.add(workflow)
            case "reference.resolved":
                self.sources[key] = f"{line.get('source')}, grade {line.get('grade')}"
            case "download.started":
                size = line.get("size")
                self.under_way[key] = size if isinstance(size, int) else None
            case "model.placed" | "model.linked":
                self.under_way.pop(key, None)
                self.failed.pop(key, None)
                self.placed[key] = Path(str(line.get("path")))
            case _ if event in _GIVEN_UP:
                self.under_way.pop(key, None)
                self.failed[key] = _why(line)
            case _ if line.get("level") == "error" or event == "error.met":
                self.errors.append(f"{event}: {_why(line)}")

    def closed(self, workflow: Path, models: Iterable[Key]) -> bool:
        """Say whether nothing more is to come for *workflow*."""
        keys = set(models)
        if keys & self.failed.keys():
            return keys <= self.failed.keys() | self.placed.keys()
        return str(workflow) in self.ready and keys <= self.placed.keys()


def _why(line: Line) -> str:
    error = line.get("error")
    if isinstance(error, Mapping):
        return f"{error.get('cause')} {error.get('remedy')} [{error.get('code')}]"
    return str(error or line.get("exception") or line.get("event"))


_TOLD = {
    "workflow.settled": "settled    {workflow}",
    "workflow.analyzed": "analyzed   {workflow}: {references} references, {missing} missing",
    "workflow.ready": "ready      {workflow}",
    "reference.resolved": "resolved   {folder}/{name}: {source}, grade {grade}",
    "download.started": "fetching   {folder}/{name} from {host}",
    "download.verified": "verified   {folder}/{name}: SHA-256 {sha256:.16}…",
    "model.placed": "placed     {path}",
} | dict.fromkeys(sorted(_GIVEN_UP), "not had    {folder}/{name}: {why}")


def told(line: Line) -> str | None:
    """Return a line about *line* for a person, or ``None`` where it is no news for one."""
    template = _TOLD.get(str(line.get("event")))
    if template is None or line.get("cause") == "arrived":  # one for each model is too much
        return None
    fields = defaultdict(str, {name: str(value) for name, value in line.items()})
    fields["workflow"] = Path(fields["workflow"]).name
    fields["why"] = _why(line)
    return template.format_map(fields)
