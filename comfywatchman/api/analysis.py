"""Analyses as one result for a program."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from comfywatchman.api.converting import first_of_each, reference_of
from comfywatchman.api.files import save_json_file
from comfywatchman.api.values import AnalysisResult, MissingNode, ModelReference
from comfywatchman.domain.references import Analysis, Finding, WorkflowState
from comfywatchman.report import render
from comfywatchman.report.render.words import next_step

if TYPE_CHECKING:
    from comfywatchman.config.settings import Settings
    from comfywatchman.daemon.installation import Place


def result_of(
    settings: Settings,
    place: Place,
    analyses: Sequence[Analysis],
    *,
    with_candidates: bool = False,
) -> AnalysisResult:
    """Return what *analyses* say, each model once."""
    from comfywatchman.daemon.knowing import known_types

    with known_types(settings, place, analyses) as types:
        report = render.report_of(analyses, with_candidates, types)
    pairs = list(_paired(analyses, report))
    missing = first_of_each(reference for finding, reference in pairs if finding.lacking)
    here = first_of_each(
        reference for finding, reference in pairs if finding.in_place and not finding.lacking
    )
    steps = (ref.suggestion for ref in missing if ref.suggestion)
    return AnalysisResult(
        missing_models=missing,
        missing_nodes=tuple(_nodes(report)),
        available_models=here,
        suggestions=tuple(dict.fromkeys(steps)),
        workflows=tuple(analysis.path for analysis in analyses),
        unreadable={
            str(analysis.path): analysis.content.trouble.cause
            for analysis in analyses
            if analysis.state is WorkflowState.UNREADABLE and analysis.content.trouble is not None
        },
        report=_builtins(report),
    )


def write_reports(found: AnalysisResult, directory: Path) -> list[Path]:
    """Write ``NAME.report.json`` for each workflow, over an older one; return the paths."""
    written = []
    names: dict[str, int] = {}
    for row in found.report["workflows"]:
        name = Path(row["path"]).name
        number = names[name] = names.get(name, 0) + 1
        mark = "" if number == 1 else f".{number}"
        one = {"schema_version": found.report["schema_version"], "workflows": [row]}
        written.append(save_json_file(directory / f"{name}{mark}.report.json", one))
    return written


def _paired(
    analyses: Sequence[Analysis], report: render.Report
) -> Iterator[tuple[Finding, ModelReference]]:
    """Yield each finding, and the reference of the API that it makes."""
    for analysis, row in zip(analyses, report.workflows, strict=True):
        for finding, reference_row in zip(analysis.findings, row.references, strict=True):
            step = next_step(reference_row, row) if finding.lacking else None
            yield finding, reference_of(finding.reference, finding, step)


def _nodes(report: render.Report) -> Iterator[MissingNode]:
    counts: dict[str, MissingNode] = {}
    for workflow in report.workflows:
        for row in workflow.node_types:
            if row.state not in {"missing", "unknown"}:
                continue
            known = counts.get(row.type)
            pack = row.pack
            counts[row.type] = MissingNode(
                row.type,
                row.state,
                row.count + (known.count if known is not None else 0),
                None if pack is None else pack.id,
                None if pack is None else pack.title,
                None if pack is None else pack.url,
            )
    yield from counts.values()


def _builtins(report: render.Report) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(report)
    return found
