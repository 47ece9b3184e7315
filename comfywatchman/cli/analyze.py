"""``comfywatchman analyze``: what workflows need, have and lack."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from comfywatchman.cli.fix import exit_status
from comfywatchman.cli.options import (
    everywhere,
    loaded,
    note,
    offline_flag,
    tell_closed,
    telling_errors,
)
from comfywatchman.cli.placing import warn_of

if TYPE_CHECKING:
    from comfywatchman.config.load import Loaded
    from comfywatchman.domain.packs import NodeTypes
    from comfywatchman.domain.references import Analysis
    from comfywatchman.report.render import Report

EPILOG = """\b
Examples:
  comfywatchman analyze workflow.json
  comfywatchman analyze ~/ComfyUI/user/default/workflows --format markdown
  comfywatchman analyze picture.png --json
  comfywatchman analyze workflow.json --locked comfy.lock.json
  curl -s https://example.org/workflow.json | comfywatchman analyze -
"""

FORMATS = ["text", "json", "markdown", "html"]


@click.command(epilog=EPILOG)
@everywhere
@click.argument("paths", nargs=-1, required=True, metavar="PATH…")
@click.option("--resolve", is_flag=True, help="Ask the backends where missing models can be had.")
@click.option(
    "--output-dir",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Also write one report for each workflow there.",
)
@click.option("--format", "format_", type=click.Choice(FORMATS), default=None, help="How to tell.")
@click.option(
    "--locked",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Compare with this lock file in place of the disk; no ComfyUI is needed.",
)
@offline_flag
@click.option("--json", "json_", is_flag=True, help="The same as --format json.")
@telling_errors
def analyze(
    config: Path | None,
    comfyui_root: Path | None,
    paths: tuple[str, ...],
    resolve: bool,
    output_dir: Path | None,
    format_: str | None,
    locked: Path | None,
    offline: bool,
    json_: bool,
) -> int:
    """Say what each workflow needs, has and lacks. PATH is a file, an image that carries a
    workflow, a directory, or - for standard input. No network unless --resolve.
    """
    from comfywatchman.daemon.knowing import known_types
    from comfywatchman.daemon.survey import resolved, survey

    found = loaded(config, comfyui_root, offline=offline or None)
    chosen = format_ or ("json" if json_ else "text")
    if locked is not None:
        analyses, types = _against(found, locked, paths, resolve=resolve)
        return _told(analyses, types, chosen, output_dir, resolve=False)
    place, analyses = survey(found.settings, paths, on_unread=tell_closed)
    warn_of(place)
    if resolve:
        analyses = resolved(found.settings, place, analyses)
    with known_types(found.settings, place, analyses) as known:
        return _told(analyses, known, chosen, output_dir, resolve=resolve)


def _against(
    found: Loaded, locked: Path, paths: tuple[str, ...], *, resolve: bool
) -> tuple[list[Analysis], NodeTypes]:
    """Return the analyses, and what is known of node types, as a lock file has them.

    Raises:
        FileUnreadable, SettingsInvalid: the lock file cannot be used.
    """
    from comfywatchman.daemon.unlocking import LockedTypes, lock_at, survey_locked

    if resolve:
        raise click.UsageError("--locked asks nobody: leave out --resolve.")
    lock = lock_at(locked)
    return survey_locked(found.settings, lock, paths), LockedTypes(lock)


def _told(
    analyses: Sequence[Analysis],
    types: NodeTypes,
    chosen: str,
    output_dir: Path | None,
    *,
    resolve: bool,
) -> int:
    """Print the report, write one for each workflow where that is wanted, and return the status."""
    from comfywatchman.report import render

    report = render.report_of(analyses, resolve, types)
    click.echo(_rendered(report, chosen), nl=chosen == "json")
    if output_dir is not None:
        names = _names([analysis.path for analysis in analyses], chosen)
        for analysis, name in zip(analyses, names, strict=True):
            single = render.report_of([analysis], resolve, types)
            _write(_rendered(single, chosen), output_dir, name)
    _warn(report)
    return exit_status(report)


MOST_WARNINGS = 20


def _warn(report: Report) -> None:
    """Say on stderr what is wrong in the files themselves, where stdout goes to a program as well.

    Nobody has to read a report to its end to learn that a workflow gives a token away.
    """
    from comfywatchman.report.render import errors_in_files

    found = errors_in_files(report)
    if not found:
        return
    word = "error" if len(found) == 1 else "errors"
    note(f"warning: {len(found)} {word} in the files themselves:")
    for line in found[:MOST_WARNINGS]:
        note(f"  {line}")
    if len(found) > MOST_WARNINGS:
        note(f"  and {len(found) - MOST_WARNINGS} more")


SUFFIXES = {"text": ".txt", "json": ".json", "markdown": ".md", "html": ".html"}


def _rendered(report: Report, format_: str) -> str:
    from comfywatchman.report import render

    match format_:
        case "json":
            return render.to_json(report).decode()
        case "markdown":
            return render.to_markdown(report)
        case "html":
            return render.to_html(report)
        case _:
            return render.to_text(report)


def _names(workflows: Sequence[Path], format_: str) -> list[str]:
    """Call each report after its workflow; those of one name are told apart by their paths."""
    counts = Counter(path.name for path in workflows)
    marks = {
        path: f".{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"
        for path in workflows
        if counts[path.name] > 1
    }
    return [f"{path.name}{marks.get(path, '')}.report{SUFFIXES[format_]}" for path in workflows]


def _write(text: str, directory: Path, name: str) -> None:
    """Write one report, over an older one of the same workflow.

    Raises:
        FolderNotWritable, DiskFull, DiskFailed
    """
    from comfywatchman.disk.errors import writing_failed

    staged = directory / f".{name}.new"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        staged.write_text(text, encoding="utf-8", errors="backslashreplace")
        staged.replace(directory / name)
    except OSError as error:
        raise writing_failed(error, directory / name) from error
    note(f"Wrote {directory / name}.")
