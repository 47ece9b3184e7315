"""What is wrong in workflow files themselves: as rows for JSON, and as text. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Literal

from msgspec import Struct

from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.references import Analysis
from comfywatchman.report.render import words
from comfywatchman.report.render.rows import RemarkRow, workflow_row
from comfywatchman.report.render.text import WIDTH
from comfywatchman.report.visible import visible

SCHEMA_VERSION = 1
_LABEL = 10


class ValidatedFile(Struct, frozen=True, kw_only=True):
    path: str
    container: str
    format: str
    """``none`` where it holds no workflow; there is nothing wrong with that."""
    taken: str | None
    error: Trouble | None
    """Why it could not be read."""
    findings: tuple[RemarkRow, ...]
    """Secrets first, then other errors, then the rest."""


class ValidationSummary(Struct, frozen=True, kw_only=True):
    files: int
    unreadable: int
    not_workflows: int
    errors: int
    warnings: int
    infos: int


class Validation(Struct, frozen=True, kw_only=True):
    schema_version: int
    files: tuple[ValidatedFile, ...]
    summary: ValidationSummary


def validation_of(analyses: Sequence[Analysis]) -> Validation:
    files = tuple(_file(analysis) for analysis in analyses)
    return Validation(schema_version=SCHEMA_VERSION, files=files, summary=_summary(files))


def _file(analysis: Analysis) -> ValidatedFile:
    row = workflow_row(analysis, with_candidates=False)
    return ValidatedFile(
        path=row.path,
        container=row.container,
        format=row.format,
        taken=row.taken,
        error=row.error if row.state == "unreadable" else None,
        findings=tuple(words.remarks(row)),
    )


def _summary(files: Sequence[ValidatedFile]) -> ValidationSummary:
    def number(severity: Literal["error", "warning", "info"]) -> int:
        return sum(each.severity == severity for file in files for each in file.findings)

    unreadable = sum(file.error is not None for file in files)
    return ValidationSummary(
        files=len(files),
        unreadable=unreadable,
        not_workflows=sum(file.format == "none" for file in files) - unreadable,
        errors=number("error"),
        warnings=number("warning"),
        infos=number("info"),
    )


def validation_text(told: Validation) -> str:
    """Return it as text of at most `WIDTH` columns, names and places aside."""
    lines = [line for file in told.files for line in _lines(file)]
    found = told.summary
    said = [words.counted(found.files, "file")]
    counts = [words.counted(found.errors, "error"), words.counted(found.warnings, "warning")]
    if found.infos:
        counts.append(words.counted(found.infos, "remark"))
    if found.unreadable:
        said.append(f"{found.unreadable} cannot be read")
    if found.not_workflows:
        said.append(f"{found.not_workflows} without a workflow")
    lines += ["", f"{', '.join(said)}. {', '.join(counts)}."]
    return "\n".join(lines) + "\n"


def _lines(file: ValidatedFile) -> Iterator[str]:
    yield f"{visible(file.path)}: {_verdict(file)}"
    if file.error is not None:
        yield from _labeled("error", f"{file.error.code}: {file.error.cause}")
        yield from _labeled("next", file.error.remedy)
    for remark in file.findings:
        place = words.place(remark)
        yield from _labeled(remark.severity, f"{remark.code} at {place}: {remark.message}")


def _verdict(file: ValidatedFile) -> str:
    if file.error is not None:
        return "cannot be read"
    if file.format == "none":
        return "is not a workflow"
    return words.counted(len(file.findings), "finding") if file.findings else "nothing is wrong"


def _labeled(label: str, text: str) -> list[str]:
    head = f"  {label:<{_LABEL}} "
    return textwrap.wrap(
        visible(text),
        WIDTH,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )
