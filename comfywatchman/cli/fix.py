"""``comfywatchman fix``: analyze, resolve, download, place, report; once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
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
    note,
    offline_flag,
    tell_closed,
    telling_errors,
)
from comfywatchman.cli.placing import located, warn_of

if TYPE_CHECKING:
    from comfywatchman.config.load import Loaded
    from comfywatchman.daemon.installation import Place
    from comfywatchman.domain.errors import StateLocked
    from comfywatchman.domain.references import Analysis
    from comfywatchman.report.render.rows import Report

EPILOG = """\b
Examples:
  comfywatchman fix workflow.json
  comfywatchman fix ~/Downloads/*.json --dry-run
  comfywatchman fix picture.png --yes --json
"""


@click.command(epilog=EPILOG)
@everywhere
@click.argument("paths", nargs=-1, required=True, metavar="PATH…")
@click.option("--yes", is_flag=True, help="Do not ask before downloading.")
@click.option("--dry-run", is_flag=True, help="Say what would be fetched, and fetch nothing.")
@offline_flag
@as_json
@telling_errors
def fix(
    config: Path | None,
    comfyui_root: Path | None,
    paths: tuple[str, ...],
    yes: bool,
    dry_run: bool,
    offline: bool,
    json_: bool,
) -> int:
    """Fetch what each workflow lacks, verify it, put it where ComfyUI looks, and report. PATH is a
    file, an image that carries a workflow, a directory, or - for standard input.
    """
    found = loaded(config, comfyui_root, offline=offline or None)
    if dry_run or _wants_to_ask(yes=yes, json_=json_):
        planned = _plan(found, paths)
        rows = (row for workflow in planned.workflows for row in workflow.references)
        if dry_run or not any(row.to_bring for row in rows):
            return _end(planned, json_=json_)
        _show(planned)
        note("")
        if not click.confirm("Download these?", default=True, err=True):
            return LACKING
    return _end(_fixed(found, paths, quiet=json_), json_=json_)


def _wants_to_ask(*, yes: bool, json_: bool) -> bool:
    """Only a person at a terminal is asked; a script has said what it wants by calling."""
    return not yes and not json_ and sys.stdin.isatty() and sys.stderr.isatty()


def _plan(found: Loaded, paths: tuple[str, ...]) -> Report:
    from comfywatchman.daemon.bringing import willing
    from comfywatchman.daemon.survey import resolved, survey

    place, analyses = survey(found.settings, paths, on_unread=tell_closed)
    warn_of(place)
    return _report(found, place, resolved(willing(found.settings), place, analyses))


def _fixed(found: Loaded, paths: tuple[str, ...], *, quiet: bool) -> Report:
    from comfywatchman.cli.progress import progress
    from comfywatchman.daemon.once import fix_once
    from comfywatchman.domain.errors import StateLocked

    place = located(found)
    try:
        with progress(quiet=quiet) as observe:
            analyses = fix_once(found.settings, paths, observe)
    except StateLocked as error:
        analyses = _by_the_daemon(found, paths, error)
    return _report(found, place, analyses)


def _report(found: Loaded, place: Place, analyses: Sequence[Analysis]) -> Report:
    from comfywatchman.daemon.knowing import known_types
    from comfywatchman.report import render

    with known_types(found.settings, place, analyses) as types:
        return render.report_of(analyses, True, types)


def _by_the_daemon(found: Loaded, paths: tuple[str, ...], locked: StateLocked) -> list[Analysis]:
    """Let the daemon that owns the state do it: two would fetch the same file.

    Raises:
        StateLocked: no daemon owns the state, but another command does, or did a moment ago.
        FileUnreadable: a path that is not below its workflow directories.
    """
    from comfywatchman.cli.talk import post
    from comfywatchman.daemon.lock import owner_of
    from comfywatchman.daemon.once import follow
    from comfywatchman.daemon.survey import each_workflow, unreadable
    from comfywatchman.domain.errors import FileUnreadable, WatchmanError

    owner = owner_of(found.settings.state.directory)
    if owner is None or owner.role != "run" or owner.address is None:
        raise locked
    unread: list[Analysis] = []
    files = list(each_workflow(paths, lambda path, why: unread.append(unreadable(path, why))))
    try:
        post(found, "fix", {"workflows": [str(path) for path in files]})
    except WatchmanError as error:
        if error.code == FileUnreadable.code:
            error.remedy = (
                "While a daemon runs, put it into one of its workflow directories; or stop the "
                "daemon and run this again."
            )
        raise
    note(f"The daemon (process {owner.pid}) does it.")
    return follow(found.settings, files, owner.pid) + unread


def _show(report: Report) -> None:
    from comfywatchman.report import render

    click.echo(render.to_text(report), nl=False)


def _end(report: Report, *, json_: bool) -> int:
    from comfywatchman.report import render

    if json_:
        click.echo(render.to_json(report))
    else:
        _show(report)
    return exit_status(report)


def exit_status(report: Report) -> int:
    """Return what a command ends with that read these workflows."""
    states = {workflow.state for workflow in report.workflows}
    if "unreadable" in states:
        return UNFINISHED
    return LACKING if "blocked" in states else DONE
