"""Counts what a run came to, from what happened and how it stands at the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from comfywatchman.api.values import AnalysisResult, DownloadCounts, WorkflowRun
from comfywatchman.domain.messages import (
    DownloadFailed,
    Event,
    ModelPlaced,
    ReferenceResolved,
    WorkflowAnalyzed,
)
from comfywatchman.domain.references import Analysis, Finding, WorkflowState

Model = tuple[str | None, str]
"""Folder and name."""


class Counting:
    """Told of every event of one run, one at a time."""

    def __init__(self) -> None:
        self._first: dict[Path, Analysis] = {}
        self._planned: set[Model] = set()
        self._placed: set[Model] = set()
        self._failed: set[Model] = set()

    def __call__(self, event: Event) -> None:
        match event:
            case WorkflowAnalyzed(analysis=analysis):
                self._first.setdefault(analysis.path, analysis)
            case ReferenceResolved(folder=folder, name=name):
                self._planned.add((folder, name))
            case ModelPlaced(folder=folder, name=name):
                self._placed.add((folder, name))
                self._failed.discard((folder, name))
            case DownloadFailed(folder=folder, name=name):
                self._failed.add((folder, name))
            case _:
                pass

    def run(self, run_id: str, ends: Sequence[Analysis], found: AnalysisResult) -> WorkflowRun:
        """Return the run, given how the workflows stand at its end."""
        before = [self._first.get(analysis.path, analysis) for analysis in ends]
        missing = _models(before, lacking=True)
        still = _models(ends, lacking=True)
        planned = self._planned & missing
        downloads = DownloadCounts(
            planned=len(planned),
            finished=len(planned & self._placed),
            failed=len(planned & self._failed),
            skipped=len(missing - planned - self._placed - (missing - still)),
        )
        unreadable = any(analysis.state is WorkflowState.UNREADABLE for analysis in ends)
        status = "failed" if unreadable else "incomplete" if still else "completed"
        return WorkflowRun(
            run_id=run_id,
            status=status,
            workflows_scanned=len(ends),
            models_found=len(_models(ends)),
            models_missing=len(missing),
            models_resolved=len(missing - still),
            downloads=downloads,
            analysis=found,
        )


def _models(analyses: Sequence[Analysis], *, lacking: bool = False) -> set[Model]:
    return {
        (finding.reference.folder, finding.reference.name)
        for analysis in analyses
        for finding in analysis.findings
        if _counts(finding, lacking=lacking)
    }


def _counts(finding: Finding, *, lacking: bool) -> bool:
    return finding.lacking if lacking else finding.reference.active
