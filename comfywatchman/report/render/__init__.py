"""Findings as JSON, text, Markdown and HTML, all from the same rows. Pure."""

from comfywatchman.report.render.html import to_html
from comfywatchman.report.render.markdown import to_markdown
from comfywatchman.report.render.rows import (
    CandidateRow,
    DeclaredRow,
    NodeTypeRow,
    PackRow,
    ReferenceRow,
    Report,
    Summary,
    WorkflowRow,
    candidate_row,
    encoded,
    report_of,
    schema,
    to_json,
)
from comfywatchman.report.render.text import to_text

__all__ = [
    "CandidateRow",
    "DeclaredRow",
    "NodeTypeRow",
    "PackRow",
    "ReferenceRow",
    "Report",
    "Summary",
    "WorkflowRow",
    "candidate_row",
    "encoded",
    "report_of",
    "schema",
    "to_html",
    "to_json",
    "to_markdown",
    "to_text",
]
