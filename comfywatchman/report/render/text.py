"""The report for a terminal of 80 to 100 columns, without colors."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from comfywatchman.report.render import words
from comfywatchman.report.render.node_types import absent, troubled
from comfywatchman.report.render.rows import ReferenceRow, RemarkRow, Report, WorkflowRow
from comfywatchman.report.visible import visible

WIDTH = 96
_LABEL = 10
_MOST_REMARKS = 10
"""Of a workflow, besides errors, which are told one and all."""


def to_text(report: Report) -> str:
    """Return the report as text; each line at most `WIDTH`, but names and addresses stay whole."""
    blocks = ["\n".join(_workflow(workflow)) for workflow in report.workflows]
    return "\n\n".join([*blocks, words.summary_line(report)]) + "\n"


def _workflow(workflow: WorkflowRow) -> Iterator[str]:
    yield f"{visible(workflow.path)}: {words.verdict(workflow)}"
    if workflow.error is not None:
        yield from _labeled("error", visible(workflow.error.code), "  ")
        yield from _labeled("cause", visible(workflow.error.cause), "  ")
        yield from _labeled("next", visible(workflow.error.remedy), "  ")
    found = words.remarks(workflow)
    for remark in found:
        if remark.severity == "error":
            yield from _remark(remark)
    for row in words.lacking(workflow):
        yield from _row(row, workflow)
    for row in words.noted(workflow):
        yield f"  {row.state:<{_LABEL}} {words.spelled(row)}"
        yield from _labeled("note", words.note(row), "    ")
    for sentence in absent(workflow.node_types):
        yield from _labeled("node", f"not installed: {sentence}", "  ")
    for sentence in troubled(workflow.node_types):
        yield from _labeled("node", sentence, "  ")
    rest = [remark for remark in found if remark.severity != "error"]
    for remark in rest[:_MOST_REMARKS]:
        yield from _remark(remark)
    if len(rest) > _MOST_REMARKS:
        yield f"  and {len(rest) - _MOST_REMARKS} more in the file; --json tells them all"


def _remark(remark: RemarkRow) -> Iterator[str]:
    said = f"{remark.code} at {words.place(remark)}: {visible(remark.message)}"
    yield from _labeled(remark.severity, said, "  ")


def _row(row: ReferenceRow, workflow: WorkflowRow) -> Iterator[str]:
    size = words.size_words(row.bytes_to_download)
    yield f"  {row.state:<{_LABEL}} {words.spelled(row)}" + (f"  ({size})" if size else "")
    indent = "    "
    yield from _labeled("goes to", words.destination(row), indent)
    if words.source(row):
        yield from _labeled("source", words.source(row), indent)
        yield from _labeled("", words.origin(row), indent)
    for number, offer in enumerate(row.offers, 1):
        if row.state == "ambiguous":
            text = f"{visible(offer.url)} ({words.offer_words(offer)})"
            yield from _labeled(f"offer {number}", text, indent)
    if words.cause(row):
        yield from _labeled("why", words.cause(row), indent)
    yield from _labeled("next", words.next_step(row, workflow), indent)


def _labeled(label: str, text: str, indent: str) -> list[str]:
    head = f"{indent}{label:<{_LABEL}} "
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )
