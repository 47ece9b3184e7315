"""The report for a terminal of 80 to 100 columns, without colors."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from comfywatchman.report.render import words
from comfywatchman.report.render.node_types import absent, troubled
from comfywatchman.report.render.rows import ReferenceRow, RemarkRow, Report, WorkflowRow
from comfywatchman.report.visible import visible

WIDTH = 96
_LABEL = 10
_MOST_WANTED = 5
_MOST_REMARKS = 10
"""Sentences about a workflow file itself, besides errors, which are told one and all."""


def to_text(report: Report) -> str:
    """Return the report as text; each line at most `WIDTH`, but names, addresses and commands stay
    whole.
    """
    said = ""
    before = 0
    for workflow in report.workflows:
        lines = list(_workflow(workflow))
        # What takes one line stands with its like: nobody pages through hundreds of gaps.
        gap = "" if before == len(lines) == 1 or not before else "\n"
        said += gap + "\n".join(lines) + "\n"
        before = len(lines)
    end = "".join(f"{line}\n" for line in [words.summary_line(report), *_most_wanted(report)])
    return f"{said}\n{end}" if said else end


def _most_wanted(report: Report) -> Iterator[str]:
    """Say what several workflows wait for, the first few of it."""
    for name, many, size in words.most_wanted(report)[:_MOST_WANTED]:
        yield f"  wanted by {many}: {name}" + (f" ({size})" if size else "")


def _workflow(workflow: WorkflowRow) -> Iterator[str]:
    yield f"{visible(workflow.path)}: {words.verdict(workflow)}"
    if workflow.error is not None and workflow.state != "not-a-workflow":
        yield from _labeled("error", visible(workflow.error.code), "  ")
        yield from _labeled("cause", visible(workflow.error.cause), "  ")
        yield from _labeled("next", visible(workflow.error.remedy), "  ")
    found = words.remarks(workflow)
    for remark in found:
        if remark.severity == "error":
            yield from _remark([remark])
    yield from _lacking(workflow)
    for row in words.noted(workflow):
        yield f"  {row.state:<{_LABEL}} {words.spelled(row)}"
        yield from _labeled("note", words.note(row), "    ")
    if words.by_themselves(workflow):
        yield from _labeled("note", words.by_themselves(workflow), "  ")
    for sentence in absent(workflow.node_types):
        yield from _labeled("node", f"not installed: {sentence}", "  ")
    for sentence in troubled(workflow.node_types):
        yield from _labeled("node", sentence, "  ")
    rest = _alike([remark for remark in found if remark.severity != "error"])
    for same in rest[:_MOST_REMARKS]:
        yield from _remark(same)
    if len(rest) > _MOST_REMARKS:
        left = sum(len(same) for same in rest[_MOST_REMARKS:])
        yield f"  and {left} more in the file; --json tells them all"


def _alike(found: Sequence[RemarkRow]) -> list[list[RemarkRow]]:
    """Put together what says the same of several places."""
    alike: dict[tuple[str, str], list[RemarkRow]] = {}
    for remark in found:
        alike.setdefault((remark.code, remark.message), []).append(remark)
    return list(alike.values())


def _remark(same: Sequence[RemarkRow]) -> Iterator[str]:
    first = same[0]
    more = f" and {len(same) - 1} more" if len(same) > 1 else ""
    said = f"{first.code} at {words.place(first)}{more}: {visible(first.message)}"
    yield from _labeled(first.severity, said, "  ")


def _lacking(workflow: WorkflowRow) -> Iterator[str]:
    """Tell what lacks, and the command that is to be given for most of it once."""
    rows = words.lacking(workflow)
    for row in rows:
        yield from _row(row, workflow)
    if any(words.is_for_fix(row, workflow) for row in rows):
        yield f"  {'next':<{_LABEL}} {words.fix_command(workflow)}"


def _row(row: ReferenceRow, workflow: WorkflowRow) -> Iterator[str]:
    size = words.size_words(row.bytes_to_download)
    yield f"  {row.state:<{_LABEL}} {words.spelled(row)}" + (f"  ({size})" if size else "")
    indent = "    "
    for_fix = words.is_for_fix(row, workflow)
    if words.source(row):
        yield from _labeled("source", f"{words.source(row)} ({words.origin(row)})", indent)
    elif for_fix:
        yield from _labeled("source", "none in the workflow; to be looked for", indent)
    for number, offer in enumerate(row.offers, 1):
        if row.state == "ambiguous":
            text = f"{visible(offer.url)} ({words.offer_words(offer)})"
            yield from _labeled(f"offer {number}", text, indent)
    if words.cause(row):
        yield from _labeled("why", words.cause(row), indent)
    if not for_fix:
        command = words.fix_command(workflow)
        step = words.next_step(row, workflow).replace(command, command.replace(" ", _NO_BREAK))
        yield from (line.replace(_NO_BREAK, " ") for line in _labeled("next", step, indent))


_NO_BREAK = "\0"
"""Stands for a space inside a command, which is not to be broken: somebody copies it. No text that
is shown has one of its own."""


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
