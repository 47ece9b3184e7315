"""``comfywatchman inventory``: the model files that are here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from comfywatchman.cli import care, duplicates
from comfywatchman.cli.options import (
    DONE,
    LACKING,
    WithDefault,
    as_json,
    everywhere,
    loaded,
    note,
    print_json,
    say,
    telling_errors,
)

if TYPE_CHECKING:
    from comfywatchman.report.render.inventory import ModelRow

EPILOG = """\b
Examples:
  comfywatchman inventory list --folder loras
  comfywatchman inventory list --troubles
  comfywatchman inventory sweep
  comfywatchman inventory verify --sample 10%
  comfywatchman inventory duplicates
  comfywatchman inventory unused --folder loras
  comfywatchman inventory export --format csv -o models.csv
"""


@click.group(cls=WithDefault, epilog=EPILOG)
def inventory() -> None:
    """The model files that are here, under every folder of ComfyUI. Without COMMAND: list."""


LIST = """\b
Examples:
  comfywatchman inventory list
  comfywatchman inventory list --folder loras --json
  comfywatchman inventory list --troubles
"""


@inventory.command(name="list", epilog=LIST)
@everywhere
@click.option("--folder", metavar="NAME", help="Only this folder of ComfyUI, such as loras.")
@click.option("--troubles", is_flag=True, help="Only what no loader could use, and why.")
@as_json
@telling_errors
def list_(
    config: Path | None,
    comfyui_root: Path | None,
    folder: str | None,
    troubles: bool,
    json_: bool,
) -> int:
    """Every model file with its size, and its SHA-256 where it was measured already."""
    import os

    from comfywatchman.daemon.installation import locate
    from comfywatchman.daemon.listing import rows_of
    from comfywatchman.daemon.stock import stock_of

    found = loaded(config, comfyui_root)
    place = locate(found.settings, os.environ)
    folders = place.layout.folders
    with stock_of(folders, place.state_directory) as stock:
        rows = rows_of(stock.files(), folders)
    rows = [row for row in rows if folder is None or row.folder == folder]
    if troubles:
        rows = [row for row in rows if row.error is not None]
    if json_:
        print_json({"models": rows})
    else:
        _show(rows, troubles=troubles)
        total = sum({row.path: row.size for row in rows}.values())
        counted = "1 model file" if len(rows) == 1 else f"{len(rows)} model files"
        what = f"{counted} in trouble" if troubles else counted
        note(f"{what}, {total:,} bytes, ComfyUI at {place.comfyui_root}.")
    return LACKING if troubles and rows else DONE


def _show(rows: list[ModelRow], *, troubles: bool) -> None:
    for row in rows:
        digest = row.sha256[:12] if row.sha256 else "-" * 12
        mark = "" if row.error is None or troubles else f"  {row.error.code}"
        say(f"{digest}  {row.size:>14,}  {row.folder}/{row.name}{mark}")
        if troubles and row.error is not None:
            say(f"    {row.error.cause}")
            say(f"    {row.error.remedy}")


for command in (
    care.sweep,
    care.verify,
    duplicates.duplicates,
    care.unused,
    care.export,
):
    inventory.add_command(command)
