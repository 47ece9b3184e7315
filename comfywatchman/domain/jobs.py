"""What is to be done. Each job has a natural key, so that asking twice is asking once."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

from comfywatchman.domain.candidates import ASKED, Candidate


class Cause(StrEnum):
    """Why a workflow is analyzed, which decides how far the news goes."""

    CHANGED = "changed"
    """The workflow is new or was edited, or a person asked: everything may be asked and fetched."""
    LEARNED = "learned"
    """A server taught which widget of a node names a model: what it names is asked for, and what
    was known before is not asked again."""
    ARRIVED = "arrived"
    """A model came: what was asked before and failed is not asked again."""
    REMOVED = "removed"
    """A model went: told, but not fetched again behind the back of whoever removed it."""


@dataclass(frozen=True, slots=True)
class AnalyzeWorkflow:
    """Read the workflow and compare it with the disk."""

    kind: ClassVar[str] = "analyze"
    path: Path
    cause: Cause = Cause.CHANGED

    @property
    def key(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class ResolveReference:
    """Find out where a missing model can be had."""

    kind: ClassVar[str] = "resolve"
    folder: str
    name: str

    @property
    def key(self) -> str:
        return f"{self.folder}/{self.name}"


@dataclass(frozen=True, slots=True)
class FetchModel:
    """Bring the bytes and place them."""

    kind: ClassVar[str] = "fetch"
    folder: str
    name: str
    sources: tuple[Candidate, ...]
    """Mirrors of one file, best first."""
    chosen: bool = False
    """A person chose the source, and answers for what the bytes do not prove."""

    @property
    def key(self) -> str:
        return f"{self.folder}/{self.name}"

    @property
    def by_person(self) -> bool:
        """Whether a person named the source, so that no workflow speaks against it."""
        return self.chosen or any(source.backend == ASKED for source in self.sources)


Job = AnalyzeWorkflow | ResolveReference | FetchModel
JOB_TYPES: dict[str, type[Job]] = {
    job.kind: job for job in (AnalyzeWorkflow, ResolveReference, FetchModel)
}
