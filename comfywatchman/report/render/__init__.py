"""Findings as JSON, text, Markdown and HTML, all from the same rows. Pure."""

from comfywatchman.report.render.html import to_html
from comfywatchman.report.render.markdown import to_markdown
from comfywatchman.report.render.node_types import NodeTypeRow, PackRow
from comfywatchman.report.render.rows import (
    CandidateRow,
    DeclaredRow,
    ReferenceRow,
    Report,
    WorkflowRow,
    candidate_row,
    encoded,
    report_of,
    report_of_rows,
    schema,
    to_json,
    workflow_row,
)
from comfywatchman.report.render.summary import Summary, WantedRow
from comfywatchman.report.render.text import to_text
from comfywatchman.report.render.words import errors_in_files

__all__ = [
    "CandidateRow",
    "DeclaredRow",
    "NodeTypeRow",
    "PackRow",
    "ReferenceRow",
    "Report",
    "Summary",
    "WantedRow",
    "WorkflowRow",
    "candidate_row",
    "encoded",
    "errors_in_files",
    "report_of",
    "report_of_rows",
    "schema",
    "to_html",
    "to_json",
    "to_markdown",
    "to_text",
    "workflow_row",
]
