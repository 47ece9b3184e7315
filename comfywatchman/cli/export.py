"""``comfywatchman export script``: what is missing, for somebody else's downloader."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from comfywatchman.cli.options import (
    DONE,
    LACKING,
    everywhere,
    loaded,
    note,
    offline_flag,
    tell_closed,
    telling_errors,
)
from comfywatchman.cli.placing import warn_of

if TYPE_CHECKING:
    from comfywatchman.report.scripts import Errands

EPILOG = """\b
Examples:
  comfywatchman export script --for sh workflow.json -o fetch.sh
  comfywatchman export script --for powershell workflows -o fetch.ps1
  comfywatchman export script --for aria2 *.json | aria2c --input-file=-
"""


@click.group(epilog="\b\nExample:\n  comfywatchman export script --for sh workflow.json\n")
def export() -> None:
    """Hand over what is to be done to other programs."""


@export.command(epilog=EPILOG)
@everywhere
@click.argument("paths", nargs=-1, required=True, metavar="PATH…")
@click.option(
    "--for",
    "kind",
    type=click.Choice(["sh", "powershell", "aria2"]),
    required=True,
    help="What is to carry it out: a POSIX shell with curl, PowerShell, or aria2.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write it to FILE, which must not be there unless it is an earlier one.",
)
@offline_flag
@telling_errors
def script(
    config: Path | None,
    comfyui_root: Path | None,
    paths: tuple[str, ...],
    kind: str,
    output: Path | None,
    offline: bool,
) -> int:
    """Print a script that fetches what each workflow lacks: it goes on where it stopped, checks
    every hash that is known, and writes over nothing. There is no secret in it: tokens are read
    from HF_TOKEN and CIVITAI_API_KEY where it runs. Status 1 where something is missing that it
    cannot fetch.
    """
    from comfywatchman.daemon.bringing import willing
    from comfywatchman.daemon.scripting import errands
    from comfywatchman.daemon.survey import resolved, survey
    from comfywatchman.report.scripts import SCRIPTS

    found = loaded(config, comfyui_root, offline=offline or None)
    place, analyses = survey(found.settings, paths, on_unread=tell_closed)
    warn_of(place)
    listed = errands(found.settings, place, resolved(willing(found.settings), place, analyses))
    text = SCRIPTS[kind](listed)
    if output is None:
        click.echo(text, nl=False)
    else:
        _write(output, text)
    return _end(listed)


def _write(path: Path, text: str) -> None:
    from comfywatchman.cli.exporting import write_export

    write_export(path, text.encode("utf-8", "surrogateescape"))
    if path.suffix == ".sh":
        path.chmod(path.stat().st_mode | 0o100)


def _end(listed: Errands) -> int:
    from comfywatchman.domain.sizes import size_words

    note(f"{len(listed.each)} models are fetched by it, {size_words(listed.size)}.")
    for text in listed.left_out:
        note(f"not part of it: {text}")
    return LACKING if listed.left_out else DONE
