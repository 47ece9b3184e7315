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
    of_comfyui,
    print_json,
    say,
    tell_unread,
    telling_errors,
)
from comfywatchman.cli.placing import located

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
    from comfywatchman.daemon.listing import rows_of
    from comfywatchman.daemon.stock import stock_of
    from comfywatchman.report.render.words import counted

    found = loaded(config, comfyui_root)
    place = located(found)
    folders = place.layout.folders
    folder = of_comfyui(folders, folder)
    with stock_of(folders, place.state_directory) as stock:
        rows = rows_of(stock.files(), folders)
        unread = stock.unread
        odd = stock.odd if troubles and folder is None else []
    rows = [row for row in rows if folder is None or row.folder == folder]
    if troubles:
        rows = [row for row in rows if row.error is not None]
    if json_:
        told = [{"path": path, "error": trouble} for path, trouble in (*unread, *odd)]
        print_json({"models": rows, "unread": told})
    else:
        _show(rows, troubles=troubles)
        for _, trouble in odd:
            say(trouble.cause)
            say(f"    {trouble.remedy}")
        total = sum({row.path: row.size for row in rows}.values())
        counts = counted(len({row.path for row in rows}), "model file")
        what = f"{counts} in trouble" if troubles else counts
        note(f"{what}, {total:,} bytes, ComfyUI at {place.comfyui_root}.")
    status = LACKING if odd or (troubles and rows) else DONE
    return tell_unread(unread) or status


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
