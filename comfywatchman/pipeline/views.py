"""An analysis with what became of its missing references since."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from comfywatchman.domain.references import Analysis, Finding
from comfywatchman.state import jobs, workflows

if TYPE_CHECKING:
    from comfywatchman.state.keeper import Connection

_STANDING_IN_THE_WAY = (jobs.FAILED, jobs.SET_ASIDE, jobs.WAITING, jobs.CANCELED)


def with_answers(connection: Connection, analysis: Analysis) -> Analysis:
    """Return *analysis* with the offers and the obstacle of each missing reference."""
    return replace(
        analysis,
        findings=tuple(_answered(connection, finding) for finding in analysis.findings),
    )


def _answered(connection: Connection, finding: Finding) -> Finding:
    reference = finding.reference
    if not finding.lacking or finding.trouble is not None or reference.folder is None:
        return finding
    choice = workflows.choice(connection, reference.folder, reference.name)
    if choice is not None:
        return replace(finding, candidates=choice.candidates, trouble=choice.trouble)
    key = f"{reference.folder}/{reference.name}"
    for kind in ("fetch", "resolve"):
        row = jobs.by_key(connection, kind, key)
        if row is not None and row.trouble is not None and row.state in _STANDING_IN_THE_WAY:
            offers = getattr(row.job, "sources", ())
            return replace(finding, candidates=offers, trouble=row.trouble)
    return finding
