"""The live page: plain HTML that fetches itself again, without scripts."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

from comfywatchman.report.render.html import STYLE, document, link, table, text
from comfywatchman.report.render.words import duration_words, offer_words, size_words
from comfywatchman.server.window import (
    ChoiceLine,
    DownloadLine,
    ErrorLine,
    ModelPage,
    Status,
    WorkflowLine,
)

_NONE = ModelPage(models=(), total=0)

REFRESH_SECONDS = 5
MOST_WORKFLOWS = 200

_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
PAGE_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


def page(
    status: Status,
    workflows: Sequence[WorkflowLine],
    downloads: Sequence[DownloadLine],
    choices: Sequence[ChoiceLine],
    errors: Sequence[ErrorLine],
    *,
    troubles: ModelPage = _NONE,
) -> str:
    """Return the whole page; every value from outside is escaped."""
    parts = [
        _head(status),
        _downloads(downloads),
        _choices(choices),
        _workflows(workflows),
        _troubles(troubles),
        _errors(errors),
        '<p class="quiet"><a href="/metrics">metrics</a> · <a href="/api/v1/status">status</a> · '
        '<a href="/openapi.json">API</a></p>',
    ]
    refresh = f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}">'
    return document("comfywatchman", "\n".join(part for part in parts if part), refresh)


def _head(status: Status) -> str:
    state = '<span class="ready">ready</span>' if status.ready else _lacking(status.lacking)
    comfyui = {True: "answers", False: "does not answer", None: "is not asked"}[status.comfyui_up]
    facts = [
        f"{sum(status.workflows.values())} workflows, {status.workflows.get('ready', 0)} ready",
        f"{status.models} models, {size_words(status.model_bytes)}",
        f"ComfyUI {comfyui}",
    ]
    if status.unverifiable:
        facts.append(f"{status.unverifiable} unverifiable")
    if status.hash_backlog_files:
        facts.append(_measuring(status))
    offline = [root.path for root in status.roots if root.state != "online"]
    gone = f'<p class="error">Offline: {text(", ".join(offline))}</p>' if offline else ""
    return (
        f"<p>{state} · {text(' · '.join(facts))}</p>"
        f'<p class="quiet">{text(status.comfyui_root)} · version {text(status.version)} · since '
        f"{text(status.started_at.isoformat(timespec='seconds'))}</p>{gone}"
    )


def _measuring(status: Status) -> str:
    words = f"{status.hash_backlog_files} models to measure, "
    words += size_words(status.hash_backlog_bytes)
    if status.hash_paused:
        return f"{words}, paused while ComfyUI works"
    left = status.hash_remaining_seconds
    return words if left is None else f"{words}, about {duration_words(left)} left"


def _lacking(lacking: Sequence[str]) -> str:
    return f'<span class="blocked">not ready: {text("; ".join(lacking))}</span>'


def _downloads(downloads: Sequence[DownloadLine]) -> str:
    if not downloads:
        return ""
    rows = [
        [
            text(f"{line.folder}/{line.name}"),
            _progress(line),
            text(f"{size_words(line.done)} of {size_words(line.size) or 'unknown size'}"),
            text(f"{size_words(int(line.bytes_per_second))}/s" if line.bytes_per_second else ""),
            text("" if line.remaining_seconds is None else duration_words(line.remaining_seconds)),
            text(line.host or line.source or ""),
        ]
        for line in downloads
    ]
    return "<h2>Downloads</h2>" + table(["model", "progress", "size", "rate", "left", "from"], rows)


def _progress(line: DownloadLine) -> str:
    if line.state != "running":
        return text(line.state)
    if not line.size:
        return "running"
    percent = min(100.0, 100 * line.done / line.size)
    return f'<progress max="100" value="{percent:.1f}"></progress> {percent:.0f} %'


def _choices(choices: Sequence[ChoiceLine]) -> str:
    if not choices:
        return ""
    rows = []
    for choice in choices:
        offers = "<br>".join(
            f"{number}: {link(offer.page or offer.url)} {text(offer_words(offer))} "
            f"{text(size_words(offer.size))}"
            for number, offer in enumerate(choice.candidates, 1)
        )
        rows.append([text(f"{choice.folder}/{choice.name}"), text(choice.error.cause), offers])
    return "<h2>For you to choose</h2>" + table(["model", "why", "candidates"], rows)


def _workflows(workflows: Sequence[WorkflowLine]) -> str:
    if not workflows:
        return '<h2>Workflows</h2><p class="quiet">None yet.</p>'
    rows = [
        [
            f'<a href="/api/v1/workflows/{text(line.id)}">{text(line.path)}</a>',
            f'<span class="{text(line.state)}">{text(line.state)}</span>',
            "<br>".join(
                [*map(text, line.lacking), *(f"node {text(n)}" for n in line.missing_nodes)]
            )
            or (text(line.error.cause) if line.error else ""),
        ]
        for line in workflows[:MOST_WORKFLOWS]
    ]
    more = len(workflows) - len(rows)
    rest = f'<p class="quiet">and {more} more</p>' if more > 0 else ""
    return "<h2>Workflows</h2>" + table(["workflow", "state", "lacks"], rows) + rest


def _troubles(found: ModelPage) -> str:
    """Tell of model files that no loader can use: they are neither missing nor there."""
    if not found.models:
        return ""
    rows = [
        [
            text(line.name if line.folder is None else f"{line.folder}/{line.name}"),
            f'<span class="error">{text(line.error.code)}</span><br>{text(line.error.cause)}',
            text(line.error.remedy),
        ]
        for line in found.models
        if line.error is not None
    ]
    more = found.total - len(rows)
    rest = f'<p class="quiet">and {more} more</p>' if more > 0 else ""
    return "<h2>Models in trouble</h2>" + table(["model", "what", "what to do"], rows) + rest


def _errors(errors: Sequence[ErrorLine]) -> str:
    if not errors:
        return ""
    rows = [
        [
            text(line.at.isoformat(timespec="seconds")),
            text(line.about),
            f'<span class="error">{text(line.error.code)}</span><br>{text(line.error.cause)}',
            text(line.error.remedy),
        ]
        for line in errors
    ]
    return "<h2>Recent errors</h2>" + table(["when", "about", "what", "what to do"], rows)
