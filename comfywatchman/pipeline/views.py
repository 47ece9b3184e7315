"""An analysis with what became of its missing references since."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.references import Analysis, Finding, Hint
from comfywatchman.state import choices, jobs, placed

if TYPE_CHECKING:
    from comfywatchman.state.keeper import Connection

_STANDING_IN_THE_WAY = (jobs.FAILED, jobs.SET_ASIDE, jobs.WAITING, jobs.CANCELED)


def with_answers(connection: Connection, analysis: Analysis) -> Analysis:
    """Return *analysis* with the offers and the obstacle of each missing reference.

    What we placed ourselves is told where nothing proves that it is the wanted file.
    """
    present = {f.path for f in analysis.findings if f.path is not None and f.hint is None}
    unproven = placed.unverifiable(connection, present) if present else frozenset()
    return replace(
        analysis,
        findings=tuple(
            _answered(connection, _doubted(finding, unproven)) for finding in analysis.findings
        ),
    )


def _doubted(finding: Finding, unproven: Collection[Path]) -> Finding:
    if finding.path not in unproven or finding.hint is not None:
        return finding
    if any(declared.sha256 == finding.sha256 for declared in finding.reference.declared):
        return finding
    hint = Trouble(
        Hint.UNVERIFIABLE,
        f"{finding.path} was fetched, and nobody publishes a hash that would prove it; "
        f"its SHA-256 is {finding.sha256}.",
        "Compare it with a copy that you trust, or write its hash into the workflow.",
    )
    return replace(finding, hint=hint)


def _answered(connection: Connection, finding: Finding) -> Finding:
    reference = finding.reference
    if not finding.lacking or finding.trouble is not None or reference.folder is None:
        return finding
    choice = choices.choice(connection, reference.folder, reference.name)
    if choice is not None:
        return replace(finding, candidates=choice.candidates, trouble=choice.trouble)
    key = f"{reference.folder}/{reference.name}"
    for kind in ("fetch", "resolve"):
        row = jobs.by_key(connection, kind, key)
        if row is not None and row.trouble is not None and row.state in _STANDING_IN_THE_WAY:
            offers = getattr(row.job, "sources", ())
            return replace(finding, candidates=offers, trouble=row.trouble)
    return finding
