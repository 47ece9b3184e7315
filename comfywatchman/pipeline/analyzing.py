"""The step from a workflow file to what it needs, has and lacks."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.analyze.compare import compare
from comfywatchman.domain.errors import FileUnreadable, Trouble
from comfywatchman.domain.files import Folders, Stamp
from comfywatchman.domain.jobs import AnalyzeWorkflow, Cause
from comfywatchman.domain.messages import (
    Event,
    ReferenceUnresolved,
    WorkflowAnalyzed,
    WorkflowRemoved,
)
from comfywatchman.domain.references import Analysis, WorkflowContent
from comfywatchman.pipeline.desk import Outcome
from comfywatchman.pipeline.library import StoredLibrary, as_on_disk
from comfywatchman.pipeline.reach import Reach
from comfywatchman.pipeline.resting import Resting
from comfywatchman.pipeline.unplugged import with_unplugged

if TYPE_CHECKING:
    from comfywatchman.analyze.shelf import Library
    from comfywatchman.parsing.parser import Parsed, Parser
    from comfywatchman.state.jobs import JobRow
    from comfywatchman.state.keeper import Reader

HALF_WRITTEN_SECONDS = 2.0
"""How long a file that does not parse may be one that is still being written."""

MOST_LOOKS = 3
"""How often a file that seems half written is read again before it is called broken."""

_HALF_WRITTEN = "workflow-unreadable"
_CHILD_FAILED = "parser-failed"

_CHANGED = Trouble(
    "workflow-unreadable", "The file was written to while it was read.", "It is read again."
)


@dataclass(frozen=True, slots=True)
class Analyzer:
    """Reads workflows; used by one thread, as its parser is."""

    parser: Parser
    folders: Folders
    reader: Reader
    reach: Reach = field(default_factory=Reach)
    loaders: Callable[[], Sequence[str]] | None = None
    """Returns the lines of the loader table that are in force besides the shipped ones, where they
    may become others while we run."""
    patience_seconds: float = 0.0
    """How long a file that is too short may still grow; 0 where its writer was waited for."""
    resting: Resting = field(default_factory=Resting)

    def step(self, row: JobRow) -> Outcome:
        """Carry out an `AnalyzeWorkflow` job."""
        job = row.job
        assert isinstance(job, AnalyzeWorkflow)  # noqa: S101 - the table's kind says so
        wait = self.resting.left(job, self.reader)
        if wait is not None:
            return Outcome(put_off=wait)
        started = time.monotonic()
        if self.loaders is not None:
            self.parser.use_loaders(self.loaders())
        if self.reach.look(job.path) is None:
            gone = self.reach.why_offline(job.path) is None
            return Outcome((WorkflowRemoved(job.path),) if gone else ())
        with self.reader.connect() as connection:
            library = StoredLibrary(connection, self.reach, self.patience_seconds)
            read = analyze(job.path, self.parser, self.folders, library, self.reach)
            findings = with_unplugged(read.analysis.findings, self.folders, connection, self.reach)
        analysis, stamp = replace(read.analysis, findings=findings), read.stamp
        if row.attempts < MOST_LOOKS and (read.changed or _half_written(analysis, stamp)):
            trouble = analysis.content.trouble or _CHANGED
            return Outcome(trouble=trouble, retry_in=0.2 * 2**row.attempts)
        duration = time.monotonic() - started
        self.resting.note(job.path, duration)
        event: Event = WorkflowAnalyzed(analysis, duration, job.cause, stamp)
        told = _refused(analysis) if job.cause is Cause.CHANGED else ()
        return Outcome((event, *told))

    def rest(self) -> None:
        """Nothing to do: give the memory of the parsing process back after a while."""
        self.parser.close_when_idle(time.monotonic())


def _refused(analysis: Analysis) -> tuple[Event, ...]:
    """Tell of references that are not even looked for: a name that must not become a path."""
    return tuple(
        ReferenceUnresolved(finding.reference.folder or "", finding.reference.name, finding.trouble)
        for finding in analysis.findings
        if finding.trouble is not None and finding.lacking
    )


@dataclass(frozen=True, slots=True)
class Read:
    """What one reading of a workflow file gave."""

    analysis: Analysis
    stamp: Stamp | None = None
    """``None`` where the file could not be opened."""
    changed: bool = False
    """It was written to meanwhile."""


def analyze(
    path: Path, parser: Parser, folders: Folders, library: Library, reach: Reach | None = None
) -> Read:
    """Read *path* and compare it with *library*; a file that cannot be read is a finding too."""
    try:
        parsed = parser.read(path)
    except FileUnreadable as error:
        return Read(_unreadable(path, error.trouble()))
    return Read(compared(path, parsed, folders, library, reach), parsed.stamp, parsed.changed)


def compared(
    path: Path, parsed: Parsed, folders: Folders, library: Library, reach: Reach | None = None
) -> Analysis:
    findings = compare(parsed.content, folders, library, separator=os.sep)
    return Analysis(path, parsed.sha256, parsed.content, as_on_disk(findings, folders, reach))


def _unreadable(path: Path, trouble: Trouble) -> Analysis:
    return Analysis(path, "", WorkflowContent("unknown", "none", trouble=trouble))


def _half_written(analysis: Analysis, stamp: Stamp | None) -> bool:
    """Whether the file may be broken only because its writer is not done."""
    trouble = analysis.content.trouble
    if trouble is not None and trouble.code == _CHILD_FAILED:
        return True  # killed for lack of memory, or by an upgrade under it: another child may do
    if trouble is None or trouble.code != _HALF_WRITTEN or stamp is None:
        return False
    age = time.time() - max(stamp.mtime_ns, stamp.ctime_ns) / 1e9
    return 0 <= age < HALF_WRITTEN_SECONDS
