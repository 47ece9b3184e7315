"""``comfywatchman notify``: who is told, what waits or was given up, and trying it out."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

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
    from comfywatchman.daemon.notices.inspecting import NoticeNow, Receiver

EPILOG = """\b
Examples:
  comfywatchman notify
  comfywatchman notify test
  comfywatchman notify retry
"""

_MOST = 20
"""Notices shown one by one."""


@click.group(cls=WithDefault, epilog=EPILOG)
def notify() -> None:
    """Webhooks and chat services: who is told of what, what waits, and what was given up."""


@notify.command("list", epilog="\b\nExample:\n  comfywatchman notify list --json\n")
@everywhere
@as_json
@telling_errors
def list_(config: Path | None, comfyui_root: Path | None, json_: bool) -> int:
    """Who is told, what waits for them, and what was given up, with the reason."""
    from comfywatchman.daemon.notices.inspecting import notices_now

    now = notices_now(loaded(config, comfyui_root).settings)
    if json_:
        print_json(now)
        return DONE
    if not now.receivers:
        note("Nobody is told: the settings name no notify.webhooks and no notify.urls.")
    for receiver in now.receivers:
        say(_receiver(receiver))
    for each in now.notices[:_MOST]:
        say(_notice(each))
        if each.error is not None:
            say(f"    {each.error.cause} {each.error.remedy}")
    left = now.waiting + now.dead - len(now.notices[:_MOST])
    if left > 0:
        say(f"  and {left} more")
    return DONE


@notify.command(epilog="\b\nExample:\n  comfywatchman notify test\n")
@everywhere
@as_json
@telling_errors
def test(config: Path | None, comfyui_root: Path | None, json_: bool) -> int:
    """Tell everybody something now, and say who took it. Ends with 1 where one did not."""
    from comfywatchman.daemon.notices.inspecting import try_out

    tested = try_out(loaded(config, comfyui_root).settings, os.environ)
    if json_:
        print_json({"receivers": tested})
    else:
        for each in tested:
            say(f"{each.receiver}: {'taken' if each.error is None else each.error.cause}")
            if each.error is not None:
                say(f"    {each.error.remedy}")
        if not tested:
            note("Nobody is told: the settings name no notify.webhooks and no notify.urls.")
    return LACKING if any(each.error is not None for each in tested) else DONE


_DRY = click.option("--dry-run", is_flag=True, help="Say how many, and change nothing.")


@notify.command(epilog="\b\nExample:\n  comfywatchman notify retry 17\n")
@everywhere
@click.argument("notices", nargs=-1, type=int, metavar="[NOTICE]…")
@_DRY
@telling_errors
def retry(
    config: Path | None, comfyui_root: Path | None, notices: tuple[int, ...], dry_run: bool
) -> int:
    """Try notices again: those named by their number, or all that were given up."""
    from comfywatchman.daemon.notices import inspecting

    settings = loaded(config, comfyui_root).settings
    do = inspecting.meant if dry_run else inspecting.retry
    count = do(settings, notices or None)
    note(f"{_counted(count)}{_will(dry_run)} tried again by the daemon.")
    return DONE


@notify.command(epilog="\b\nExample:\n  comfywatchman notify drop 17\n")
@everywhere
@click.argument("notices", nargs=-1, type=int, metavar="[NOTICE]…")
@_DRY
@telling_errors
def drop(
    config: Path | None, comfyui_root: Path | None, notices: tuple[int, ...], dry_run: bool
) -> int:
    """Forget notices: those named by their number, or all that were given up."""
    from comfywatchman.daemon.notices import inspecting

    settings = loaded(config, comfyui_root).settings
    do = inspecting.meant if dry_run else inspecting.drop
    count = do(settings, notices or None)
    note(f"{_counted(count)}{' would be' if dry_run else ''} forgotten.")
    return DONE


def _will(dry_run: bool) -> str:
    return " would be" if dry_run else " to be"


def _counted(count: int) -> str:
    return "1 notice" if count == 1 else f"{count} notices"


def _receiver(receiver: Receiver) -> str:
    signed = "signed" if receiver.signed else "not signed"
    kind = f"webhook, {signed}" if receiver.kind == "webhook" else "service"
    told = ", ".join(receiver.events) or "everything"
    return f"{receiver.name} ({kind}): {told}; {receiver.waiting} waiting, {receiver.dead} given up"


def _notice(each: NoticeNow) -> str:
    state = "given up" if each.state == "dead" else "waiting"
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(each.created_at))
    tries = "1 try" if each.attempts == 1 else f"{each.attempts} tries"
    return f"  {each.id} {state}: {each.event} of {when} for {each.receiver}, {tries}"
