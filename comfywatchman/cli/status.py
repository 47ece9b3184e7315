"""``comfywatchman status``: what the daemon does, waits for, and asks you to decide."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from comfywatchman.cli.options import (
    DONE,
    as_json,
    everywhere,
    loaded,
    print_json,
    say,
    telling_errors,
)

if TYPE_CHECKING:
    from comfywatchman.config.load import Loaded
    from comfywatchman.daemon.standing import Standing

EPILOG = """\b
Examples:
  comfywatchman status
  comfywatchman status --json
"""


@click.command(epilog=EPILOG)
@everywhere
@as_json
@telling_errors
def status(config: Path | None, comfyui_root: Path | None, json_: bool) -> int:
    """What the daemon is doing, what it waits for, and what only you can decide."""
    return show(loaded(config, comfyui_root), json_=json_)


def _measuring(found: Loaded, now: Standing) -> str:
    """Say how much is to be measured, and how long that will take if a daemon is at it."""
    from comfywatchman.cli.talk import ask
    from comfywatchman.domain.errors import WatchmanError
    from comfywatchman.report.render.words import duration_words, size_words

    if not now.unmeasured:
        return "all measured"
    words = f"{now.unmeasured} of them to be measured ({size_words(now.unmeasured_bytes)}"
    if found.settings.inventory.hash == "off":
        return f"{words}; inventory.hash is off)"
    if now.running is None or now.running.address is None:
        return f"{words})"
    try:
        answer = ask(found, "GET", "status", seconds=2.0)
    except WatchmanError:
        return f"{words})"
    if answer.get("hash_paused"):
        return f"{words}, paused while ComfyUI works)"
    left = answer.get("hash_remaining_seconds")
    return f"{words})" if left is None else f"{words}, about {duration_words(left)} left)"


def _transfers(found: Loaded, now: Standing) -> dict[int, str]:
    """Say how far each transfer is, by its job's number; nothing where no daemon tells."""
    from comfywatchman.cli.talk import ask
    from comfywatchman.domain.errors import WatchmanError

    if now.running is None or now.running.address is None:
        return {}
    try:
        lines = ask(found, "GET", "downloads", seconds=2.0)["downloads"]
    except WatchmanError:
        return {}
    return {line["job"]: _how_far(line) for line in lines if line["state"] == "running"}


def _how_far(line: Mapping[str, Any]) -> str:
    from comfywatchman.report.render.words import duration_words, size_words

    words = [f"{size_words(line['done'])} of {size_words(line['size']) or 'unknown size'}"]
    if line["bytes_per_second"]:
        words.append(f"{size_words(int(line['bytes_per_second']))}/s")
    if line["remaining_seconds"] is not None:
        words.append(f"{duration_words(line['remaining_seconds'])} left")
    return ", ".join(words)


_MOST = 20
"""Workflows named one by one."""


def show(found: Loaded, *, json_: bool) -> int:
    """Print the state of the daemon; it need not run for that."""
    from comfywatchman.daemon.standing import standing

    now = standing(found.settings.state.directory)
    if json_:
        print_json(now)
        return DONE
    if now.running is None:
        click.echo("No daemon is running (start one with `comfywatchman run`).")
    else:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now.running.since))
        click.echo(f"Running since {since} (process {now.running.pid}).")
        if now.running.address:
            click.echo(f"Page, metrics and API: http://{now.running.address}/")
    counted = ", ".join(f"{count} {state}" for state, count in sorted(now.workflows.items()))
    click.echo(f"Workflows: {counted or 'none seen yet'}.")
    click.echo(f"Models: {now.models} known, {_measuring(found, now)}.")
    for line in now.lacking[:_MOST]:
        why = line.trouble.cause if line.trouble else f"lacks {', '.join(line.lacking)}"
        say(f"  {line.state}: {line.path.name}: {why}")
    if len(now.lacking) > _MOST:
        say(f"  and {len(now.lacking) - _MOST} more")
    if now.unverifiable:
        click.echo(f"Unverifiable: {now.unverifiable}, since nobody publishes their hashes.")
    transfers = _transfers(found, now)
    for job in now.jobs:
        how = transfers.get(job.id) or job.cause
        say(f"  job {job.id} {job.state}: {job.kind} {job.key}" + (f": {how}" if how else ""))
    for choice in now.choices:
        say(f"  your choice: {choice.folder}/{choice.name}: {choice.cause}")
        say(f"    {choice.remedy}")
        for number, candidate in enumerate(choice.candidates, 1):
            size = f"{candidate.size:,} bytes" if candidate.size else "size unknown"
            digest = candidate.sha256[:12] if candidate.sha256 else "no hash"
            say(f"    {number}. [{candidate.grade}] {candidate.url} ({size}, {digest})")
            for sentence in candidate.evidence:
                say(f"       {sentence}")
    return DONE
