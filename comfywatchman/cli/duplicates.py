"""``comfywatchman inventory duplicates``: the same bytes twice, and making them one."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from comfywatchman.cli.care import handing, tell_unkept
from comfywatchman.cli.options import (
    DONE,
    LACKING,
    UNFINISHED,
    as_json,
    everywhere,
    loaded,
    note,
    print_json,
    say,
    tell_unread,
    telling_errors,
)
from comfywatchman.cli.placing import located
from comfywatchman.report.render.words import counted, size_words

if TYPE_CHECKING:
    from comfywatchman.daemon.duplicates import Found, LinkedName
    from comfywatchman.inventory.duplicates import Copy, Group

EPILOG = """\b
Examples:
  comfywatchman inventory duplicates
  comfywatchman inventory duplicates --link hard --dry-run
  comfywatchman inventory duplicates --link reflink --yes
"""


@click.command(epilog=EPILOG)
@everywhere
@click.option(
    "--link",
    type=click.Choice(["hard", "reflink"]),
    help="Make equal files one: the same inode under both names, or blocks that both share.",
)
@click.option("--dry-run", is_flag=True, help="With --link: say what would be linked.")
@click.option("--yes", is_flag=True, help="With --link: do not ask.")
@as_json
@telling_errors
def duplicates(
    config: Path | None,
    comfyui_root: Path | None,
    link: Literal["hard", "reflink"] | None,
    dry_run: bool,
    yes: bool,
    json_: bool,
) -> int:
    """Model files of equal bytes, told by their SHA-256; those of equal size that nobody measured
    yet are read. With --link both files are read once more, right then, before one gets the other's
    bytes; each keeps its name.
    """
    import threading

    from comfywatchman.cli.reading import reading_bars
    from comfywatchman.daemon.duplicates import Duplicates
    from comfywatchman.daemon.ledger import Ledger
    from comfywatchman.daemon.stock import stock_of
    from comfywatchman.report.audit import AuditLog

    if link is None and (dry_run or yes):
        raise click.UsageError("--dry-run and --yes go with --link.")
    if link is not None and not (dry_run or yes) and not _can_ask(json_=json_):
        raise click.UsageError("--link needs --yes where nobody can be asked.")
    found = loaded(config, comfyui_root)
    place = located(found)
    folders = place.layout.folders
    ledger = Ledger(place.state_directory, folders, handing(found))
    names: list[LinkedName] = []
    stayed: list[Path] = []
    with stock_of(folders, place.state_directory) as stock:
        blake3 = found.settings.inventory.blake3
        finder = Duplicates(stock, ledger, threading.Event(), blake3)
        files = list(stock.files())
        audit = AuditLog(place.state_directory)
        try:
            total = sum(copy.stamp.size for copy in finder.to_read(files))
            with reading_bars(quiet=json_, total=total) as bars:
                same = finder.find(files, bars.begin, bars.at)
            ledger.flush()
            if not json_:
                _tell(same, link)
            if link is not None and not dry_run and _agreed(same.groups, yes=yes):
                place.state_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
                stayed = finder.tidy(files, audit)
                total = sum(2 * group.size * len(group.linkable) for group in same.groups)
                with reading_bars(quiet=json_, total=total) as bars:
                    for name in finder.link(same.groups, link, audit, bars.begin, bars.at):
                        bars.end()
                        names.append(name)
                        if not json_:
                            _tell_linked(name)
        finally:
            ledger.flush()
            tell_unkept(ledger)
    for path in stayed:
        note(f"{path} was left by a linking that was cut off; its bytes are nowhere else.")
    if json_:
        print_json(_rows(same, names))
    status = LACKING if any(name.trouble is not None for name in names) else DONE
    return max(tell_unread(stock.unread), UNFINISHED if same.unread else status)


def _can_ask(*, json_: bool) -> bool:
    return not json_ and sys.stdin.isatty() and sys.stderr.isatty()


def _agreed(groups: Sequence[Group], *, yes: bool) -> bool:
    """Ask a person at a terminal; a script has said ``--yes``."""
    pairs = sum(len(group.linkable) for group in groups)
    if not pairs:
        return False
    if yes:
        return True
    saved = size_words(sum(group.saved for group in groups))
    return click.confirm(
        f"Link {counted(pairs, 'file')}, to save {saved}?", default=False, err=True
    )


def _tell(found: Found, link: str | None) -> None:
    for group in found.groups:
        say(f"{group.sha256}  {size_words(group.size)}, {len(group.copies)} times")
        for number, copy in enumerate(group.copies):
            for path in copy.paths:
                say(f"  {'keep ' if number == 0 and link else ''}{path}{_remark(copy)}")
    for path, trouble in found.unread:
        note(f"{path}: {trouble.cause} {trouble.remedy}")
    wasted = sum(group.wasted for group in found.groups)
    saved = sum(group.saved for group in found.groups)
    note(
        f"{counted(len(found.groups), 'group')} of equal files, {wasted:,} bytes on disk more than "
        "once; "
        f"--link would save {saved:,}."
    )


def _remark(copy: Copy) -> str:
    others = copy.links - len(copy.names)
    return f"  ({others} more names elsewhere)" if others > 0 and copy.names else ""


def _tell_linked(name: LinkedName) -> None:
    if name.linked is not None:
        was, now = name.linked.was, name.linked.now
        changed = "" if was == now else f" (time of {name.kept.name})"
        say(f"linked  {name.path} -> {name.kept}{changed}")
    elif name.trouble is not None:
        say(f"left    {name.trouble.cause}")


def _rows(found: Found, names: Sequence[LinkedName]) -> dict[str, object]:
    return {
        "groups": [
            {
                "sha256": group.sha256,
                "size": group.size,
                "wasted": group.wasted,
                "saved": group.saved,
                "copies": [
                    {
                        "paths": copy.paths,
                        "device": copy.stamp.device,
                        "inode": copy.stamp.inode,
                        "links": copy.links,
                        "keep": copy is group.kept,
                    }
                    for copy in group.copies
                ],
            }
            for group in found.groups
        ],
        "wasted": sum(group.wasted for group in found.groups),
        "saved": sum(group.saved for group in found.groups),
        "unread": [{"path": path, "error": trouble} for path, trouble in found.unread],
        "linked": [
            {
                "path": name.path,
                "kept": name.kept,
                "how": name.linked.how if name.linked else None,
                "error": name.trouble,
            }
            for name in names
        ],
    }
