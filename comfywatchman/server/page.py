"""The live page: plain HTML that fetches itself again, without scripts."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

from comfywatchman.report.render import CandidateRow
from comfywatchman.report.render.html import STYLE, document, link, table, text
from comfywatchman.report.render.words import counted, duration_words, offer_words, size_words
from comfywatchman.server.window import (
    ChoiceLine,
    DownloadLine,
    ErrorLine,
    JobLine,
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
REPORT_POLICY = PAGE_POLICY
"""A report has the same style, and no more than it."""


def page(
    status: Status,
    workflows: Sequence[WorkflowLine],
    downloads: Sequence[DownloadLine],
    choices: Sequence[ChoiceLine],
    errors: Sequence[ErrorLine],
    *,
    troubles: ModelPage = _NONE,
    waiting: Sequence[JobLine] = (),
) -> str:
    """Return the whole page; every value from outside is escaped."""
    parts = [
        _head(status),
        _downloads(downloads),
        _waiting(waiting),
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
        f"{counted(sum(status.workflows.values()), 'workflow')}, "
        f"{status.workflows.get('ready', 0)} ready",
        f"{counted(status.models, 'model')}, {size_words(status.model_bytes)}",
        f"ComfyUI {comfyui}",
    ]
    if status.unverifiable:
        facts.append(f"{status.unverifiable} unverifiable")
    if status.notices_dead:
        facts.append(f"{counted(status.notices_dead, 'notice')} given up (comfywatchman notify)")
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
    words = f"{counted(status.hash_backlog_files, 'model')} to measure, "
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


def _waiting(jobs: Sequence[JobLine]) -> str:
    """Tell of jobs that were tried and will be again: a source, a disk or a proxy is in the way."""
    rows = [
        [
            text(f"{job.kind} {job.key}"),
            text(f"{job.error.cause} {job.error.remedy}"),
            text(job.not_before.isoformat(timespec="seconds") if job.not_before else "soon"),
        ]
        for job in jobs
        if job.error is not None and job.state == "waiting"
    ]
    if not rows:
        return ""
    return "<h2>Waiting</h2>" + table(["job", "why", "tried again"], rows)


def _choices(choices: Sequence[ChoiceLine]) -> str:
    if not choices:
        return ""
    rows = []
    for choice in choices:
        offers = "<br>".join(
            f"{number}: {_offer(offer)}" for number, offer in enumerate(choice.candidates, 1)
        )
        rows.append([text(f"{choice.folder}/{choice.name}"), text(choice.error.cause), offers])
    return "<h2>For you to choose</h2>" + table(["model", "why", "candidates"], rows)


def _offer(offer: CandidateRow) -> str:
    """Tell of one candidate: its page, its file, how large, which bytes, and what speaks for it."""
    file = f" {link(offer.url)}" if offer.page not in {None, offer.url} else ""
    about = "about " if offer.size is None and offer.size_about is not None else ""
    size = size_words(offer.size if offer.size is not None else offer.size_about)
    said = [f"{about}{size}" if size else "size unknown"]
    said.append(f"SHA-256 {offer.sha256}" if offer.sha256 else "no SHA-256")
    said += [offer.error.cause] if offer.error is not None else []
    said += offer.evidence
    words = text(" ".join([offer_words(offer) + ";", ", ".join(said[:2]) + ".", *said[2:]]))
    return f"{link(offer.page or offer.url)}{file} {words}"


def _workflows(workflows: Sequence[WorkflowLine]) -> str:
    if not workflows:
        return '<h2>Workflows</h2><p class="quiet">None yet.</p>'
    rows = [
        [
            f'<a href="/workflows/{text(line.id)}">{text(line.path)}</a>',
            f'<span class="{text(line.state)}">{text(line.state)}</span>',
            "<br>".join(_about(line)),
        ]
        for line in workflows[:MOST_WORKFLOWS]
    ]
    more = len(workflows) - len(rows)
    rest = f'<p class="quiet">and {more} more</p>' if more > 0 else ""
    return "<h2>Workflows</h2>" + table(["workflow", "state", "what lacks"], rows) + rest


def _about(line: WorkflowLine) -> list[str]:
    """Return what lacks and what else there is to say, as HTML; secrets first."""
    hinted = {hint.partition(": ")[0] for hint in line.hints}
    said = [text(line.error.cause)] if line.error else []
    if line.secrets:
        many = "a secret" if line.secrets == 1 else f"{line.secrets} secrets"
        said.append(f'<span class="error">{many} in the file: take it out, and withdraw it</span>')
    said += [text(name) for name in line.lacking if name not in hinted]
    said += [text(hint) for hint in line.hints]
    return said + [f"node {text(name)}" for name in line.missing_nodes]


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
