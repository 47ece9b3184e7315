"""What the text, the Markdown and the HTML report say in the same words."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from comfywatchman.domain.errors import UnsafeName
from comfywatchman.domain.references import Hint
from comfywatchman.domain.sizes import size_words as size_words  # noqa: PLC0414 - a word of this page, too
from comfywatchman.report.render.rows import (
    CandidateRow,
    ReferenceRow,
    RemarkRow,
    Report,
    WorkflowRow,
)
from comfywatchman.report.render.summary import Summary
from comfywatchman.report.visible import visible


def duration_words(seconds: float) -> str:
    """Return a time to wait as people say it: 40 seconds, 5 minutes, 3 hours."""
    for unit, length in (("hour", 3600), ("minute", 60)):
        if seconds >= 2 * length:
            return f"{round(seconds / length)} {unit}s"
    return f"{round(seconds)} seconds"


def spelled(row: ReferenceRow) -> str:
    """Return ``folder/name``, or the name alone where no folder is known."""
    return visible(row.name if row.folder is None else f"{row.folder}/{row.name}")


def destination(row: ReferenceRow) -> str:
    """Say where the file should lie."""
    if row.folder is None:
        return "nobody says which folder"
    if row.error is not None and row.error.code == UnsafeName.code:
        return "nowhere"
    return f"folder {visible(row.folder)}, as {visible(row.name)}"


def source(row: ReferenceRow) -> str:
    """Return the address of the best source known, or nothing."""
    if row.offers:
        return visible(row.offers[0].url)
    if row.declared is not None and row.declared.url is not None:
        return visible(row.declared.url)
    return ""


def origin(row: ReferenceRow) -> str:
    """Say who names `source`."""
    if row.offers:
        return offer_words(row.offers[0])
    return "named by the workflow" if source(row) else ""


def offer_words(offer: CandidateRow) -> str:
    """Say who makes an offer, how well it is proven, and what it asks for."""
    needs = f", needs {offer.needs}" if offer.needs else ""
    return visible(f"{offer.backend}, grade {offer.grade}{needs}")


def cause(row: ReferenceRow) -> str:
    """Say what is known of the file that is here, and why none is being fetched."""
    return visible(" ".join(each.cause for each in (row.hint, row.error) if each is not None))


def next_step(row: ReferenceRow, workflow: WorkflowRow) -> str:  # noqa: PLR0911  # one for each case
    """Say what a person can do, or that there is nothing to do."""
    fix = fix_command(workflow)
    if row.hint is not None and row.hint.code in {Hint.DAMAGED, Hint.INCOMPLETE}:
        return visible(row.hint.remedy)
    if row.state == "arriving":
        return "The file is still being written; nothing to do."
    if row.state == "elsewhere" or (row.state == "ambiguous" and row.hint is not None):
        return _by_hand(row) + (f" Or have it brought: {fix}" if row.to_bring else "")
    if row.state == "missing" and row.hint is not None:
        brought = f"Or have it brought: {fix}" if row.error is None else visible(row.error.remedy)
        return f"{visible(row.hint.remedy)} {brought}"
    if row.error is not None:
        return visible(row.error.remedy)
    if row.state == "ambiguous":
        return f"comfywatchman choose {shlex.quote(spelled(row))} CANDIDATE"
    if row.folder is None:
        return "Put the file where the node looks for it, or name its folder in analyze.loaders."
    if source(row):
        return fix
    if isinstance(row.candidates, tuple):
        folder, name = (shlex.quote(visible(each)) for each in (row.folder, row.name))
        wanted = f"--folder {folder} --name {name}"
        return f"No source is known. If you have its URL: comfywatchman download URL {wanted}"
    return f"{fix} looks for it and fetches it"


def fix_command(workflow: WorkflowRow) -> str:
    """Return what a person types to have what a workflow lacks brought."""
    return f"comfywatchman fix {shlex.quote(visible(workflow.path))}"


def is_for_fix(row: ReferenceRow, workflow: WorkflowRow) -> bool:
    """Whether that command is all there is to do about a row."""
    return next_step(row, workflow).startswith(fix_command(workflow))


def _by_hand(row: ReferenceRow) -> str:
    if row.hint is not None:
        return visible(row.hint.remedy)
    known = visible(row.spelling or "another name")
    return f"It is here as {known}: select that in node {visible(row.node)}."


def lacking(workflow: WorkflowRow) -> Sequence[ReferenceRow]:
    return [row for row in workflow.references if row.lacking]


def noted(workflow: WorkflowRow) -> Sequence[ReferenceRow]:
    """Return the rows that lack nothing and still deserve a word."""
    return [
        row
        for row in workflow.references
        if row.active and not row.lacking and (row.hint is not None or row.shadows)
    ]


def note(row: ReferenceRow) -> str:
    """Say that word, in one or more sentences."""
    parts = [] if row.hint is None else [row.hint.cause, row.hint.remedy]
    if row.shadows and (row.hint is None or row.hint.code != Hint.SHADOWED):
        parts.append(f"ComfyUI opens {row.path} and never {', '.join(row.shadows)}.")
    return visible(" ".join(parts))


_MOST_NAMED = 10


def by_themselves(workflow: WorkflowRow) -> str:
    """Name the models that nodes fetch by themselves, in a sentence; nothing where none do."""
    names = list(dict.fromkeys(spelled(row) for row in _fetched_by_nodes(workflow)))
    if not names:
        return ""
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"Nodes fetch by themselves, when it runs: {', '.join(names[:_MOST_NAMED])}{more}."


def _fetched_by_nodes(workflow: WorkflowRow) -> list[ReferenceRow]:
    return [row for row in workflow.references if row.active and row.state == "autodownload"]


def verdict(workflow: WorkflowRow) -> str:
    """Say in one line how it stands with a workflow."""
    if workflow.state == "unreadable":
        return "cannot be read"
    if workflow.state == "not-a-workflow":
        return "is not a workflow"
    total = sum(row.active for row in workflow.references)
    if workflow.state == "ready":
        said = [f"ready, {counted(total, 'model')}" if total else "ready, names no model"]
    else:
        said = [f"blocked, {len(lacking(workflow))} of {counted(total, 'model')} not here"]
    anew = sum(row.active and row.misspelled for row in workflow.references)
    if anew:
        said.append(f"{anew} to be selected anew in ComfyUI")
    alone = len(_fetched_by_nodes(workflow))
    if alone:
        said.append(f"{alone} that nodes fetch by themselves")
    nodes = sum(use.active and use.state == "missing" for use in workflow.node_types)
    if nodes:
        said.append(f"{counted(nodes, 'node type')} not installed")
    errors = sum(remark.severity == "error" for remark in workflow.findings)
    if errors:
        said.append(f"{counted(errors, 'error')} in the file")
    return "; ".join(said)


_SEVERITIES = ("error", "warning", "info")


def remarks(workflow: WorkflowRow) -> Sequence[RemarkRow]:
    """Return what is wrong in the file itself: secrets, then other errors, then the rest."""
    return sorted(
        workflow.findings,
        key=lambda remark: (remark.code != "secret", _SEVERITIES.index(remark.severity)),
    )


def errors_in_files(report: Report) -> Sequence[str]:
    """Return a line for each error in a workflow file itself, secrets first."""
    found = [
        (remark.code != "secret", f"{workflow.path} {place(remark)}: {remark.message}")
        for workflow in report.workflows
        for remark in remarks(workflow)
        if remark.severity == "error"
    ]
    return [visible(line) for _, line in sorted(found, key=lambda row: row[0])]


def place(remark: RemarkRow) -> str:
    """Say where in the file it is."""
    pointer = visible(remark.pointer) or "the whole file"
    if remark.node is None:
        return pointer
    kind = f" ({visible(remark.node_type)})" if remark.node_type else ""
    inside = " of a subgraph" if "/definitions/subgraphs/" in remark.pointer else ""
    return f"node {visible(remark.node)}{kind}{inside}, {pointer}"


def summary_line(report: Report) -> str:
    """Say how many files and references there are in which state; what is told adds up."""
    found: Summary = report.summary
    states = _told(
        (found.ready, "ready"),
        (found.blocked, "blocked"),
        (found.unreadable, "unreadable"),
        (found.not_workflows, "without a workflow"),
    )
    rows = _told(
        (found.missing, "missing"),
        (found.ambiguous, "ambiguous"),
        (found.elsewhere - found.misspelled, "in another place or under another name"),
        (found.misspelled, "to be selected anew"),
        (found.arriving, "arriving"),
        (found.autodownload, "that nodes fetch by themselves"),
        (found.dynamic, "named only when it runs"),
        (found.inactive, "of muted or bypassed nodes"),
    )
    files = found.not_workflows or found.unreadable
    head = counted(found.workflows, "file" if files else "workflow")
    head += f": {', '.join(states)}" if states else ""
    models = f"{counted(found.references, 'model reference')}, {found.present} present"
    size = f"; {size_words(found.bytes_to_download)} to download" if found.bytes_to_download else ""
    errors = f"; {counted(found.errors, 'error')} in the files" if found.errors else ""
    if not found.ready and not found.blocked:
        return f"{head}."
    return f"{head}. {', '.join([models, *rows])}{size}{errors}."


def most_wanted(report: Report) -> list[tuple[str, str, str]]:
    """Return model, number of workflows and size of what several workflows wait for."""
    rows = report.summary.most_wanted if report.summary.workflows > 1 else ()
    return [
        (
            f"{visible(row.folder or '?')}/{visible(row.name)}",
            counted(row.workflows, "workflow"),
            size_words(row.size),
        )
        for row in rows
        if row.workflows > 1
    ]


def _told(*counted: tuple[int, str]) -> list[str]:
    return [f"{count} {word}" for count, word in counted if count]


def counted(count: int, word: str) -> str:
    """Return *count* and *word*, which takes an s for more than one."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
