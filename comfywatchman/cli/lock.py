"""``comfywatchman lock`` and ``fetch --locked``: what a workflow needs, byte for byte."""

from __future__ import annotations

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
    print_json,
    say,
    tell_closed,
    telling_errors,
)
from comfywatchman.cli.placing import located

if TYPE_CHECKING:
    from collections.abc import Mapping

    from comfywatchman.config.load import Loaded
    from comfywatchman.daemon.installation import Place
    from comfywatchman.daemon.locking import Locked
    from comfywatchman.daemon.unlocking import UnlockedRow, Unlocking
    from comfywatchman.domain.errors import StateLocked, Trouble
    from comfywatchman.report.locks import LockedPack

LOCK_EPILOG = """\b
Examples:
  comfywatchman lock workflow.json -o comfy.lock.json
  comfywatchman lock workflows --offline -o comfy.lock.json
"""
FETCH_EPILOG = """\b
Examples:
  comfywatchman fetch --locked comfy.lock.json
  comfywatchman fetch --locked comfy.lock.json --dry-run --json
"""


@click.command(epilog=LOCK_EPILOG)
@everywhere
@click.argument("paths", nargs=-1, required=True, metavar="PATH…")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write it to FILE, which must not be there unless it is an earlier one.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be locked, and write no file.")
@offline_flag
@telling_errors
def lock(
    config: Path | None,
    comfyui_root: Path | None,
    paths: tuple[str, ...],
    output: Path | None,
    dry_run: bool,
    offline: bool,
) -> int:
    """Write down what each workflow needs: names, folders, SHA-256, sizes and sources of models,
    and node packs. What is here is measured, what is not is looked up. Status 1 where something
    could not be locked.
    """
    from comfywatchman.daemon.locking import lock_of
    from comfywatchman.report.locks import to_bytes

    found = loaded(config, comfyui_root, offline=offline or None)
    locked = lock_of(found.settings, paths, _measuring, tell_closed)
    data = to_bytes(locked.lock)
    if output is None or dry_run:
        click.echo(data.decode(), nl=False)
    else:
        from comfywatchman.cli.exporting import write_export

        write_export(output, data)
        note(f"Wrote {output}.")
    return _told(locked)


def _measuring(path: Path) -> None:
    note(f"measuring {path}")


def _told(locked: Locked) -> int:
    from comfywatchman.domain.sizes import size_words

    lock_ = locked.lock
    size = sum(model.size or 0 for model in lock_.models)
    note(f"{len(lock_.models)} models, {size_words(size)}; {len(lock_.node_packs)} node packs.")
    for left in lock_.not_locked:
        note(f"not locked: {left.folder or '?'}/{left.name}: {left.why}")
    for path, trouble in locked.unreadable:
        note(f"not read: {path}: {trouble.cause}")
    if locked.unreadable:
        return UNFINISHED
    return LACKING if locked.lacking else DONE


@click.command(epilog=FETCH_EPILOG)
@everywhere
@click.option(
    "--locked",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="The lock file; - for standard input.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be fetched, and fetch nothing.")
@offline_flag
@as_json
@telling_errors
def fetch(
    config: Path | None,
    comfyui_root: Path | None,
    locked: Path,
    dry_run: bool,
    offline: bool,
    json_: bool,
) -> int:
    """Bring every model of a lock file, byte for byte, to where ComfyUI looks. What is here with
    the same bytes stays, a file with other bytes is never replaced. Node packs are named and not
    installed.
    """
    from comfywatchman.daemon.unlocking import lock_at, missing_packs, unlocking

    lock_ = lock_at(locked)
    found = loaded(config, comfyui_root, offline=offline or None)
    place = located(found)
    planned = unlocking(found.settings, place, lock_, _measuring)
    rows = planned.rows
    if planned.wanted and not dry_run:
        rows = planned.after(_fetched(found, place, planned, quiet=json_))
    packs = missing_packs(lock_, place)
    if json_:
        print_json({"models": rows, "node_packs_missing": packs})
    else:
        _show(rows, packs)
    return DONE if all(row.state == "present" for row in rows) else LACKING


def _fetched(
    found: Loaded, place: Place, planned: Unlocking, *, quiet: bool
) -> Mapping[str, Trouble | None]:
    from comfywatchman.cli.progress import progress
    from comfywatchman.daemon.bringing import bring
    from comfywatchman.domain.errors import StateLocked

    try:
        with progress(quiet=quiet) as observe:
            return bring(found.settings, place, planned.wanted, observe, role="fetch")
    except StateLocked as error:
        return _by_the_daemon(found, planned, error)


def _by_the_daemon(
    found: Loaded, planned: Unlocking, locked: StateLocked
) -> Mapping[str, Trouble | None]:
    """Let the daemon that owns the state fetch them, one after the other.

    Raises:
        StateLocked: no daemon owns the state, but another command does.
    """
    from comfywatchman.cli.download import by_the_daemon

    return {job.key: by_the_daemon(found, job, locked) for job in planned.wanted}


def _show(rows: tuple[UnlockedRow, ...], packs: list[LockedPack]) -> None:
    for row in rows:
        say(f"{row.state:8} {row.folder}/{row.name}")
        if row.error is not None:
            say(f"         {row.error.code}: {row.error.cause} {row.error.remedy}")
    for pack in packs:
        where = f" {pack.url}" if pack.url else ""
        note(f"node pack not installed: {pack.id}{where} ({', '.join(pack.node_types)})")
