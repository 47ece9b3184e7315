"""``comfywatchman validate``: what is wrong in workflow files themselves."""

from __future__ import annotations

from pathlib import Path

import click

from comfywatchman.cli.options import (
    DONE,
    LACKING,
    UNFINISHED,
    as_json,
    everywhere,
    loaded,
    telling_errors,
)

EPILOG = """\b
Examples:
  comfywatchman validate workflow.json
  comfywatchman validate example_workflows --json
  git diff --cached --name-only | grep json | xargs comfywatchman validate
"""


@click.command(epilog=EPILOG)
@everywhere
@click.argument("paths", nargs=-1, required=True, metavar="PATH…")
@as_json
@telling_errors
def validate(
    config: Path | None, comfyui_root: Path | None, paths: tuple[str, ...], json_: bool
) -> int:
    """Say what is wrong in workflow files themselves, such as a token in one or a link that leads
    nowhere, whatever models there are. PATH is a file, an image that carries a workflow, a
    directory, or - for standard input. Ends with 1 if there is an error.
    """
    from comfywatchman.daemon.validation import readings
    from comfywatchman.report.render.rows import encoded
    from comfywatchman.report.render.validation import validation_of, validation_text

    found = loaded(config, comfyui_root)
    told = validation_of(list(readings(found.settings, paths)))
    if json_:
        click.echo(encoded(told))
    else:
        click.echo(validation_text(told), nl=False)
    if told.summary.unreadable:
        return UNFINISHED
    return LACKING if told.summary.errors else DONE
