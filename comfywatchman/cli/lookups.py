"""``search`` and ``explain``: where a model can be had, and why it is not fetched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from comfywatchman.cli.options import (
    DONE,
    LACKING,
    UNFINISHED,
    as_json,
    everywhere,
    loaded,
    offline_flag,
    print_json,
    say,
    tell,
    telling_errors,
)

if TYPE_CHECKING:
    from comfywatchman.daemon.explaining import ExplainedRow, StepRow
    from comfywatchman.domain.errors import Trouble
    from comfywatchman.report.render import CandidateRow

SEARCH = """\b
Examples:
  comfywatchman search realisticVisionV60B1_v51VAE.safetensors --folder checkpoints
  comfywatchman search "realistic vision" --backend civitai
  comfywatchman search urn:air:sdxl:checkpoint:civitai:827184@2514310
"""
EXPLAIN = """\b
Examples:
  comfywatchman explain workflow.json
  comfywatchman explain workflow.json loras/detail.safetensors
"""


@click.command(epilog=SEARCH)
@everywhere
@click.argument("query", metavar="QUERY")
@click.option("--folder", metavar="F", help="Only files for this folder of ComfyUI: loras, vae, …")
@click.option("--backend", metavar="B", help="Ask this one alone.")
@offline_flag
@as_json
@telling_errors
def search(
    config: Path | None,
    comfyui_root: Path | None,
    query: str,
    folder: str | None,
    backend: str | None,
    offline: bool,
    json_: bool,
) -> int:
    """Ask the backends for QUERY: a file name, words, an address, urn:air:…, or a hash. Nothing is
    fetched. Status 1 where nothing is found.
    """
    from comfywatchman.daemon.explaining import search as found_by

    if not query.strip():
        raise click.UsageError("QUERY is empty.")
    asked = None if backend is None else [_backend(backend)]
    found = loaded(config, comfyui_root, offline=offline or None, search_backends=asked)
    answer = found_by(found.settings, query, folder)
    if json_:
        print_json(answer)
    else:
        for number, candidate in enumerate(answer.candidates, 1):
            for line in candidate_lines(number, candidate):
                say(line)
        for trouble in answer.errors:
            for line in _trouble_lines(trouble):
                say(line)
        if not answer.candidates and not answer.errors:
            say(f"Nothing was found for {query}.")
    return DONE if answer.candidates else LACKING


def _backend(name: str) -> str:
    """Return *name* if there is such a backend; the option is wrong otherwise, not the settings."""
    from comfywatchman.config.convert import check_backend

    try:
        return check_backend(name)
    except ValueError as error:
        raise click.BadParameter(f"{name}: {error}.", param_hint="--backend") from None


@click.command(epilog=EXPLAIN)
@everywhere
@click.argument("path", metavar="PATH")
@click.argument("reference", required=False, metavar="REFERENCE")
@offline_flag
@as_json
@telling_errors
def explain(
    config: Path | None,
    comfyui_root: Path | None,
    path: str,
    reference: str | None,
    offline: bool,
    json_: bool,
) -> int:
    """Say for each reference of the workflow PATH who wants it, where was looked, what was found,
    why it is not fetched, and what you can do. REFERENCE is a name, or folder/name.
    """
    from comfywatchman.daemon.explaining import explain as explained
    from comfywatchman.domain.errors import Trouble

    found = loaded(config, comfyui_root, offline=offline or None)
    answer = explained(found.settings, path, reference)
    if json_:
        print_json(answer)
    else:
        for row in answer.references:
            for line in _reference_lines(row):
                say(line)
        for trouble in answer.errors:
            tell(trouble, json_=False)
    if answer.errors:
        return UNFINISHED
    if reference is not None and not answer.references:
        if not json_:
            cause = f"No node of {path} asks for {reference}."
            remedy = f"comfywatchman explain {path} names what they ask for."
            tell(Trouble("nothing-found", cause, remedy), json_=False)
        return LACKING
    return LACKING if any(row.reference.lacking for row in answer.references) else DONE


def _reference_lines(row: ExplainedRow) -> Iterator[str]:
    reference = row.reference
    folder = reference.folder or "?"
    yield f"{folder}/{reference.name}: {reference.state}"
    nodes = ", ".join(reference.nodes)
    yield f"  wanted by: node {nodes} ({reference.node_type}, {reference.widget}) in {row.workflow}"
    for step in row.steps:
        yield from _step_lines(step)
    for number, candidate in enumerate(row.candidates, 1):
        yield from (f"  {line}" for line in candidate_lines(number, candidate))
    if row.chosen is not None:
        yield f"  chosen: {row.chosen}"
    elif row.error is not None:
        yield f"  not fetched: [{row.error.code}] {row.error.cause}"
    yield f"  next: {row.next}"


def _step_lines(step: StepRow) -> Iterator[str]:
    new = step.error is not None and step.error.cause != step.detail
    told = f" {step.error.cause}" if step.error is not None and new else ""
    yield f"  {step.where}: {step.detail}{told}"
    for question in step.questions:
        status = "" if question.status is None else f" {question.status}"
        yield f"    {question.how}{status}: {question.method} {question.url}"


def candidate_lines(number: int, candidate: CandidateRow) -> Iterator[str]:
    """Yield what a person needs to choose: both addresses, size, hash, and what speaks for it."""
    what = "instead of it: " if candidate.replacement else ""
    yield f"{number}. [{candidate.grade}] {what}{candidate.filename} ({candidate.backend})"
    yield f"   file: {candidate.url}"
    if candidate.page is not None and candidate.page != candidate.url:
        yield f"   page: {candidate.page}"
    yield f"   {_size(candidate)}, SHA-256 {candidate.sha256 or 'not published'}"
    if candidate.needs is not None:
        yield f"   needs: {candidate.needs}"
    error = candidate.error
    why = "" if error is None else f"{error.cause} {error.remedy}"
    if why:
        yield f"   cannot be had: {why}"
    for sentence in candidate.evidence:
        if sentence != why:
            yield f"   {sentence}"


def _size(candidate: CandidateRow) -> str:
    if candidate.size is not None:
        return f"{candidate.size:,} bytes"
    if candidate.size_about is not None:
        return f"about {candidate.size_about:,} bytes"
    return "size unknown"


def _trouble_lines(trouble: Trouble) -> Sequence[str]:
    return (f"{trouble.code}: {trouble.cause}", f"  {trouble.remedy}")
