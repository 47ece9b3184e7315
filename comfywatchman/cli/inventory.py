"""``comfywatchman inventory``: the model files that are here."""

from __future__ import annotations

from pathlib import Path

import click

from comfywatchman.cli.options import (
    DONE,
    WithDefault,
    as_json,
    everywhere,
    loaded,
    note,
    print_json,
    say,
    telling_errors,
)

EPILOG = """\b
Examples:
  comfywatchman inventory list
  comfywatchman inventory list --folder loras --json
"""


@click.group(cls=WithDefault, epilog=EPILOG)
def inventory() -> None:
    """The model files that are here, under every folder of ComfyUI. Without COMMAND: list."""


@inventory.command(name="list", epilog=EPILOG)
@everywhere
@click.option("--folder", metavar="NAME", help="Only this folder of ComfyUI, such as loras.")
@as_json
@telling_errors
def list_(config: Path | None, comfyui_root: Path | None, folder: str | None, json_: bool) -> int:
    """Every model file with its size, and its SHA-256 where it was measured already."""
    import os

    from comfywatchman.daemon.installation import locate
    from comfywatchman.daemon.survey import listed

    found = loaded(config, comfyui_root)
    place = locate(found.settings, os.environ)
    models = [row for row in listed(place) if folder is None or row.folder == folder]
    if json_:
        print_json({"models": models})
        return DONE
    for row in models:
        digest = row.sha256[:12] if row.sha256 else "-" * 12
        say(f"{digest}  {row.size:>14,}  {row.folder}/{row.name}")
    total = sum({row.path: row.size for row in models}.values())
    counted = "1 model file" if len(models) == 1 else f"{len(models)} model files"
    note(f"{counted}, {total:,} bytes, ComfyUI at {place.comfyui_root}.")
    return DONE
