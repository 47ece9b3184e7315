"""``comfywatchman doctor``: checks of this installation, each with its remedy."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from comfywatchman.cli.options import (
    DONE,
    LACKING,
    as_json,
    everywhere,
    loaded,
    note,
    offline_flag,
    print_json,
    say,
    telling_errors,
)

if TYPE_CHECKING:
    from comfywatchman.daemon.doctor.finding import Finding, Subject

EPILOG = """\b
Examples:
  comfywatchman doctor
  comfywatchman doctor --offline
  comfywatchman doctor --json > report.json     for a bug report; no secret is in it
"""


_PLACE_SECONDS = 5.0
"""How long finding ComfyUI and its folders may take."""


@click.command(epilog=EPILOG)
@everywhere
@click.option("--quiet", "-q", is_flag=True, help="Only what is not well.")
@offline_flag
@as_json
@telling_errors
def doctor(
    config: Path | None, comfyui_root: Path | None, quiet: bool, offline: bool, json_: bool
) -> int:
    """Checks of this installation, each with a verdict and, where something is wrong, a remedy.

    Nothing is changed, and nothing is written below a model directory. Ends with 1 if a check
    failed; warnings end with 0.
    """
    from comfywatchman.daemon.doctor.checks import checks_of
    from comfywatchman.daemon.doctor.examining import examine

    subject = _subject(config, comfyui_root, offline=offline)
    found: list[Finding] = []
    for each in examine(subject, checks_of(subject)):
        found.append(each)
        if not json_:
            _tell(each, quiet=quiet)
    counts = Counter(each.verdict.value for each in found)
    if json_:
        print_json({"schema_version": 1, "summary": counts, "checks": found})
    else:
        _sum_up(counts)
    return LACKING if counts["failed"] else DONE


def _subject(config: Path | None, comfyui_root: Path | None, *, offline: bool) -> Subject:
    """Read what the checks need; what cannot be read is found by one of them."""
    from comfywatchman.config.places import home
    from comfywatchman.daemon.doctor.examining import found_in_time
    from comfywatchman.daemon.doctor.finding import Subject
    from comfywatchman.daemon.installation import locate
    from comfywatchman.domain.errors import WatchmanError

    here = home(os.environ)
    try:
        found = loaded(config, comfyui_root)
    except WatchmanError as error:
        return Subject(None, None, os.environ, here, error.trouble(), offline)
    settings = found.settings
    # A share that hangs holds this up, too.
    place = found_in_time(lambda: locate(settings, os.environ), _PLACE_SECONDS)
    return Subject(found, place, os.environ, here, None, offline)


_SIGNS = {"ok": "ok     ", "warning": "WARNING", "failed": "FAILED ", "skipped": "skipped"}


def _tell(found: Finding, *, quiet: bool) -> None:
    if quiet and found.verdict.value in {"ok", "skipped"}:
        return
    say(f"{_SIGNS[found.verdict.value]} {found.about}: {found.cause}{_lies(found)}")
    if found.remedy:
        say(f"          {found.remedy}")


def _lies(found: Finding) -> str:
    kind = found.facts.get("file_system")
    return f" [{kind}]" if kind else ""


def _sum_up(counts: Counter[str]) -> None:
    said = ", ".join(f"{counts[word]} {word}" for word in _SIGNS if counts[word])
    note(f"{said}.")
