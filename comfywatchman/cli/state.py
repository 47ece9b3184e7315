"""``comfywatchman state``: what the daemon knows and nobody could find again, out and in."""

from __future__ import annotations

from pathlib import Path

import click

from comfywatchman.cli.options import (
    DONE,
    as_json,
    everywhere,
    loaded,
    note,
    print_json,
    telling_errors,
)

EPILOG = """\b
Examples:
  comfywatchman state export state.jsonl.gz
  comfywatchman state import state.jsonl.gz
"""

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group(epilog=EPILOG)
def state() -> None:
    """Choices, history, learned places and hashes: carry them to another machine, or back."""


@state.command("export", epilog="\b\nExample:\n  comfywatchman state export state.jsonl.gz\n")
@everywhere
@click.argument("file", type=_FILE)
@as_json
@telling_errors
def export_(config: Path | None, comfyui_root: Path | None, file: Path, json_: bool) -> int:
    """Write the state to FILE, for its owner alone. A daemon may run meanwhile.

    A name that ends with .gz is compressed. Of a damaged database whatever can be read is written.
    """
    from comfywatchman.daemon.handover import export_state

    done = export_state(loaded(config, comfyui_root).settings.state.directory, file)
    if json_:
        print_json(done)
        return DONE
    rows = ", ".join(f"{count} {table}" for table, count in done.rows.items())
    note(f"{file}: {rows or 'nothing that would be lost'}.")
    return DONE


@state.command("import", epilog="\b\nExample:\n  comfywatchman state import state.jsonl.gz\n")
@everywhere
@click.argument("file", type=_FILE)
@click.option("--dry-run", is_flag=True, help="Say what would be added, and add nothing.")
@as_json
@telling_errors
def import_(
    config: Path | None, comfyui_root: Path | None, file: Path, dry_run: bool, json_: bool
) -> int:
    """Add what FILE has to the state; what is there stays as it is. No daemon may run.

    FILE is what `state export` wrote, or a database of comfywatchman, such as the backup that is
    made before an upgrade. Both may be of an older version.
    """
    from comfywatchman.daemon.handover import import_state

    directory = loaded(config, comfyui_root).settings.state.directory
    done = import_state(directory, file, dry_run=dry_run)
    if json_:
        print_json(done)
        return DONE
    carried = done.carried
    for table, count in carried.added.items():
        kept = carried.kept.get(table, 0)
        if count or kept:
            added = "would be added" if dry_run else "added"
            note(f"{table}: {count} {added}, {kept} there already")
    if carried.unreadable:
        note(f"{carried.unreadable} rows could not be read and were left out")
    for path in done.files:
        note(f"written: {path}")
    return DONE
