"""``comfywatchman inspect``: what a model file is, told from its head."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from comfywatchman.cli.options import (
    DONE,
    LACKING,
    as_json,
    everywhere,
    loaded,
    print_json,
    tell,
    telling_errors,
)

if TYPE_CHECKING:
    from comfywatchman.report.render.inspection import InspectionRow

EPILOG = """\b
Examples:
  comfywatchman inspect models/loras/detail.safetensors
  comfywatchman inspect --hash --json models/checkpoints/*.safetensors
  comfywatchman inspect models/diffusers/sdxl-base
"""


@click.command(epilog=EPILOG)
@everywhere
@click.argument(
    "files",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE…",
)
@click.option("--hash", "hash_", is_flag=True, help="Read the whole file and measure its hashes.")
@click.option("--tensors", is_flag=True, help="List every tensor.")
@as_json
@telling_errors
def inspect(
    config: Path | None,
    comfyui_root: Path | None,
    files: tuple[Path, ...],
    hash_: bool,
    tensors: bool,
    json_: bool,
) -> int:
    """Kind, architecture, tensors, metadata, trigger words and hashes of model files, and what is
    wrong with them. No model is loaded and no pickle is run. FILE may be a directory in the layout
    of diffusers.
    """
    import threading

    from comfywatchman.cli.reading import reading_bars
    from comfywatchman.daemon.inspection import Inspector
    from comfywatchman.domain.errors import WatchmanError
    from comfywatchman.report.render.inspection import inspection_text
    from comfywatchman.state import store

    found = loaded(config, comfyui_root)
    reader = store.open_reader(found.settings.state.directory)
    rows: list[InspectionRow] = []
    failures: list[tuple[Path, WatchmanError]] = []
    try:
        with reading_bars(quiet=json_ or not hash_) as bars:
            for path in files:
                bars.begin(path, _size(path))
                inspector = Inspector(reader, hash_, tensors, bars.at)
                try:
                    row = inspector.inspect(path, threading.Event())
                except WatchmanError as error:
                    failures.append((path, error))
                    continue
                finally:
                    bars.end()
                rows.append(row)
                if not json_:
                    click.echo(inspection_text(row))
    finally:
        if reader is not None:
            reader.close()
    if json_:
        unread = [{"path": path, "error": failure.trouble()} for path, failure in failures]
        print_json({"files": rows, "unread": unread})
    else:
        for _, failure in failures:
            tell(failure.trouble(), json_=False)
    worst = max((failure.exit_status for _, failure in failures), default=DONE)
    return worst or (DONE if all(row.sound for row in rows) else LACKING)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
