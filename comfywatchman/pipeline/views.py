"""An analysis with what became of its missing references since."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.domain.errors import Interrupted, Trouble
from comfywatchman.domain.jobs import AnalyzeWorkflow, FetchModel, ResolveReference
from comfywatchman.domain.references import Analysis, Finding, Hint, ReferenceState
from comfywatchman.state import choices, jobs, placed, workflows

if TYPE_CHECKING:
    from comfywatchman.state.keeper import Connection

_STANDING_IN_THE_WAY = (jobs.FAILED, jobs.SET_ASIDE, jobs.WAITING, jobs.CANCELED)


def with_answers(connection: Connection, analysis: Analysis) -> Analysis:
    """Return *analysis* with the offers and the obstacle of each missing reference.

    What we placed ourselves is told where nothing proves that it is the wanted file.
    """
    present = {f.path for f in analysis.findings if f.path is not None and f.hint is None}
    unproven = placed.unverifiable(connection, present) if present else frozenset()
    answered = replace(
        analysis,
        findings=tuple(
            _answered(connection, _doubted(finding, unproven)) for finding in analysis.findings
        ),
    )
    return _missed(connection, answered)


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
        if row is not None and row.state == jobs.CANCELED:
            return replace(finding, trouble=_canceled(row))
    return finding


def _canceled(row: jobs.JobRow) -> Trouble:
    return Interrupted(
        f"The job for {row.key} was given up by hand.", remedy=f"comfywatchman retry {row.id}"
    ).trouble()


def _missed(connection: Connection, analysis: Analysis) -> Analysis:
    """Tell of what is missing and nobody is looking for: it was here when it was last wanted.

    What a workflow lacked when it was read has its search, its transfer or its reason; what went
    since, somebody removed.
    """
    unexplained = [
        finding
        for finding in analysis.fetchable
        if finding.state is ReferenceState.MISSING and finding.hint is None
        if finding.trouble is None
    ]
    if not unexplained or _is_open(connection, AnalyzeWorkflow.kind, str(analysis.path)):
        return analysis
    known = workflows.wants_of(connection, analysis.path)
    gone = {id(finding) for finding in unexplained if _is_gone(connection, finding, known)}
    findings = (replace(f, hint=_GONE) if id(f) in gone else f for f in analysis.findings)
    return replace(analysis, findings=tuple(findings))


_GONE = Trouble(
    Hint.TAKEN_AWAY,
    "It was here and was removed; what somebody removes is not fetched again by itself.",
    "Put it back.",
)


def _is_gone(
    connection: Connection, finding: Finding, known: Mapping[tuple[str, str], str]
) -> bool:
    reference = finding.reference
    folder = reference.folder or ""
    if known.get((folder, workflows.natural(reference.name))) != ReferenceState.MISSING.value:
        return False
    kinds = (ResolveReference.kind, FetchModel.kind)
    return not any(_is_open(connection, kind, f"{folder}/{reference.name}") for kind in kinds)


def _is_open(connection: Connection, kind: str, key: str) -> bool:
    row = jobs.by_key(connection, kind, key)
    return row is not None and row.state in jobs.OPEN
