"""The report as Markdown, readable in a forge and in an editor."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from comfywatchman.report.render import words
from comfywatchman.report.render.node_types import absent, troubled
from comfywatchman.report.render.rows import ReferenceRow, RemarkRow, Report, WorkflowRow
from comfywatchman.report.visible import visible

_MEANINGFUL = re.compile(r"([\\`*_{}\[\]()#+!|<>~&$])")
_LINK = re.compile(r"https?://[^\s<>|\\`]+")


def to_markdown(report: Report) -> str:
    """Return the report; whatever a name holds stays text."""
    blocks = ["# Models of workflows", escaped(words.summary_line(report))]
    wanted = [
        f"| {escaped(name)} | {many} | {size} |" for name, many, size in words.most_wanted(report)
    ]
    if wanted:
        blocks.append("\n".join(["| most wanted | by | size |", "| --- | --- | --- |", *wanted]))
    for workflow in report.workflows:
        blocks.extend(_workflow(workflow))
    return "\n\n".join(blocks) + "\n"


def escaped(text: str) -> str:
    """Return *text* with every character that Markdown or HTML would take as its own escaped."""
    return _MEANINGFUL.sub(r"\\\1", visible(text))


def _workflow(workflow: WorkflowRow) -> Iterator[str]:
    yield f"## {escaped(workflow.path)}"
    yield f"**{escaped(words.verdict(workflow))}**"
    if workflow.error is not None:
        error = workflow.error
        yield f"{escaped(error.code)}: {escaped(error.cause)} {escaped(error.remedy)}"
    found = words.remarks(workflow)
    if any(remark.severity == "error" for remark in found):
        yield _remarks(found)
    rows = words.lacking(workflow)
    if rows:
        head = ["| model | state | size | goes to | source | next |", "| --- " * 6 + "|"]
        yield "\n".join([*head, *(_row(row, workflow) for row in rows)])
    noted = words.noted(workflow)
    if noted:
        yield "\n".join(
            f"- {escaped(words.spelled(row))} ({row.state}): {escaped(words.note(row))}"
            for row in noted
        )
    if words.by_themselves(workflow):
        yield escaped(words.by_themselves(workflow))
    nodes = absent(workflow.node_types)
    if nodes:
        yield "Node types that are not installed:"
        yield "\n".join(f"- {escaped(sentence)}" for sentence in nodes)
    for sentence in troubled(workflow.node_types):
        yield escaped(sentence)
    if found and found[0].severity != "error":
        yield _remarks(found)


def _remarks(found: Sequence[RemarkRow]) -> str:
    head = ["| in the file | what | where | |", "| --- " * 4 + "|"]
    rows = (
        f"| **{remark.severity}** | {escaped(remark.code)} | {escaped(words.place(remark))} "
        f"| {escaped(remark.message)} |"
        for remark in found
    )
    return "\n".join([*head, *rows])


def _row(row: ReferenceRow, workflow: WorkflowRow) -> str:
    why = f"{words.cause(row)} " if words.cause(row) else ""
    cells = [
        escaped(words.spelled(row)),
        row.state,
        words.size_words(row.bytes_to_download),
        escaped(words.destination(row)),
        _sources(row),
        escaped(why + words.next_step(row, workflow)),
    ]
    return "| " + " | ".join(cells) + " |"


def _sources(row: ReferenceRow) -> str:
    if row.state == "ambiguous" and row.offers:
        offers = (f"{_link(offer.url)} {escaped(words.offer_words(offer))}" for offer in row.offers)
        return "<br>".join(offers)
    return f"{_link(words.source(row))} {escaped(words.origin(row))}".strip()


def _link(url: str) -> str:
    shown = visible(url)
    return f"<{shown}>" if _LINK.fullmatch(shown) else escaped(shown)
