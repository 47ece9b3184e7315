"""The report as one HTML file that needs nothing else; the status page shares its style."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from urllib.parse import urlsplit

from comfywatchman.report.render import words
from comfywatchman.report.render.node_types import absent, troubled
from comfywatchman.report.render.rows import ReferenceRow, RemarkRow, Report, WorkflowRow
from comfywatchman.report.visible import visible

STYLE = """
:root{color-scheme:light dark;--line:#8883;--quiet:#777;
--good:#1a7f37;--bad:#b35900;--worst:#c62828}
@media(prefers-color-scheme:dark){:root{--quiet:#999;--good:#57c46f;--bad:#f0a04b;--worst:#ff7b72}}
body{font:15px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem}h2{font-size:1.05rem;margin:2rem 0 .3rem;overflow-wrap:anywhere}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.35rem .6rem;border-bottom:1px solid var(--line)}
td{overflow-wrap:anywhere;min-width:4rem}th{font-weight:600;color:var(--quiet);font-size:.85rem}
.quiet{color:var(--quiet)}.ready,.present{color:var(--good)}.blocked,.missing,.ambiguous,.elsewhere,.warning{color:var(--bad)}
.unreadable,.error{color:var(--worst)}ul{padding-left:1.2rem}progress{width:8rem}
"""

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""No script, no picture, no request: the file shows what is in it."""


def to_html(report: Report) -> str:
    """Return a whole document; whatever a name holds stays text."""
    body = [f"<p>{text(words.summary_line(report))}</p>"]
    wanted = [[text(cell) for cell in row] for row in words.most_wanted(report)]
    if wanted:
        body.append(table(["most wanted", "by", "size"], wanted))
    body.extend(_workflow(workflow) for workflow in report.workflows)
    head = f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">'
    return document("Models of workflows", "\n".join(body), head)


def document(title: str, body: str, head: str = "") -> str:
    """Return a page; *title* is text, *body* and *head* are HTML already."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"{head}<title>{text(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><h1>{text(title)}</h1>\n{body}\n</body></html>\n"
    )


def text(value: object) -> str:
    """Return *value* as text that HTML cannot take for its own."""
    return escape(visible(str(value)), quote=True)


def link(url: str) -> str:
    """Return a link where *url* is one that a browser may follow, and text elsewhere."""
    try:
        followed = urlsplit(url).scheme in {"http", "https"}
    except ValueError:
        followed = False
    if not followed:
        return text(url)
    return f'<a href="{text(url)}" rel="noopener noreferrer">{text(url)}</a>'


def table(heads: list[str], rows: list[list[str]]) -> str:
    """Return a table; *heads* are text, the cells of *rows* are HTML already."""
    head = "".join(f"<th>{text(name)}</th>" for name in heads)
    lines = "".join(
        "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>\n" for cells in rows
    )
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n<tbody>{lines}</tbody>'
        "</table></div>"
    )


def _workflow(workflow: WorkflowRow) -> str:
    parts = [
        f"<h2>{text(workflow.path)}</h2>",
        f'<p class="{workflow.state}">{text(words.verdict(workflow))}</p>',
    ]
    if workflow.error is not None:
        error = workflow.error
        parts.append(f"<p>{text(error.code)}: {text(error.cause)} {text(error.remedy)}</p>")
    found = words.remarks(workflow)
    errors = any(remark.severity == "error" for remark in found)
    if errors:
        parts.append(_remarks(found))
    rows = [_row(row, workflow) for row in words.lacking(workflow)]
    if rows:
        parts.append(table(["model", "state", "size", "goes to", "source", "next"], rows))
    noted = words.noted(workflow)
    if noted:
        parts.append(f"<ul>{''.join(map(_note, noted))}</ul>")
    if words.by_themselves(workflow):
        parts.append(f"<p>{text(words.by_themselves(workflow))}</p>")
    nodes = absent(workflow.node_types)
    if nodes:
        parts.append("<p>Node types that are not installed:</p>")
        parts.append(f"<ul>{''.join(f'<li>{text(sentence)}</li>' for sentence in nodes)}</ul>")
    parts.extend(f"<p>{text(sentence)}</p>" for sentence in troubled(workflow.node_types))
    if found and not errors:
        parts.append(_remarks(found))
    return "\n".join(parts)


def _note(row: ReferenceRow) -> str:
    state = f'<span class="{row.state}">{row.state}</span>'
    return f"<li>{text(words.spelled(row))} ({state}): {text(words.note(row))}</li>\n"


def _remarks(found: Sequence[RemarkRow]) -> str:
    rows = [
        [
            f'<span class="{remark.severity}">{remark.severity}</span>',
            text(remark.code),
            text(words.place(remark)),
            text(remark.message),
        ]
        for remark in found
    ]
    return table(["in the file", "what", "where", ""], rows)


def _row(row: ReferenceRow, workflow: WorkflowRow) -> list[str]:
    why = f'<span class="quiet">{text(words.cause(row))}</span><br>' if words.cause(row) else ""
    return [
        text(words.spelled(row)),
        f'<span class="{row.state}">{row.state}</span>',
        text(words.size_words(row.bytes_to_download)),
        text(words.destination(row)),
        _sources(row),
        why + text(words.next_step(row, workflow)),
    ]


def _sources(row: ReferenceRow) -> str:
    if row.state == "ambiguous" and row.offers:
        offers = (f"{link(o.url)} {text(words.offer_words(o))}" for o in row.offers)
        return "<br>".join(offers)
    url = words.source(row)
    return f"{link(url)} {text(words.origin(row))}" if url else ""
