"""``comfywatchman status``: what the daemon does, waits for, and asks you to decide."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
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
from comfywatchman.cli.placing import troubles_of

if TYPE_CHECKING:
    from comfywatchman.config.load import Loaded
    from comfywatchman.daemon.lock import Owner
    from comfywatchman.daemon.standing import ChoiceNow, Standing
    from comfywatchman.state.workflows import Line

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


def _running(owner: Owner) -> str:
    if not owner.pid:
        return "Another process owns the state; which one cannot be told yet."
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(owner.since))
    return f"Running since {since} (process {owner.pid})."


def _live(found: Loaded, now: Standing) -> Mapping[str, Any]:
    """Return what the daemon says of itself; nothing where none answers."""
    from comfywatchman.cli.talk import ask
    from comfywatchman.domain.errors import WatchmanError

    if now.running is None or now.running.address is None:
        return {}
    try:
        answer: Mapping[str, Any] = ask(found, "GET", "status", seconds=2.0)
    except WatchmanError:
        return {}
    return answer


def _models(found: Loaded, now: Standing, live: Mapping[str, Any]) -> str:
    """Say how many there are, and what is the matter with some."""
    if not now.models:
        return "none known"
    words = f"{now.models} known, {_measuring(found, now, live)}"
    if now.in_trouble:
        words += f"; {now.in_trouble} in trouble (comfywatchman inventory list --troubles)"
    return words


def _measuring(found: Loaded, now: Standing, live: Mapping[str, Any]) -> str:
    """Say how much is to be measured, and how long that will take if a daemon is at it."""
    from comfywatchman.report.render.words import duration_words, size_words

    if not now.unmeasured:
        return "all measured"
    words = f"{now.unmeasured} of them to be measured ({size_words(now.unmeasured_bytes)}"
    if found.settings.inventory.hash == "off":
        return f"{words}; inventory.hash is off)"
    if live.get("hash_paused"):
        return f"{words}, paused while ComfyUI works)"
    left = live.get("hash_remaining_seconds")
    return f"{words})" if left is None else f"{words}, about {duration_words(left)} left)"


def _tell_choice(choice: ChoiceNow) -> None:
    from comfywatchman.cli.lookups import candidate_lines
    from comfywatchman.report.render import candidate_row

    say(f"  your choice: {choice.folder}/{choice.name}: {choice.cause}")
    say(f"    {choice.remedy}")
    for number, candidate in enumerate(choice.candidates, 1):
        for text in candidate_lines(number, candidate_row(candidate)):
            say(f"    {text}")


def _tell_workflows(now: Standing) -> None:
    """Tell of workflows of which there is something to tell, so many of them."""
    for line in now.lacking[:_MOST]:
        _tell_lacking(line)
    if len(now.lacking) > _MOST:
        say(f"  and {len(now.lacking) - _MOST} more")
    for line in now.noted[:_MOST]:
        _tell_noted(line)
    if len(now.noted) > _MOST:
        say(f"  and {len(now.noted) - _MOST} more with something to know")


def _tell_lacking(line: Line) -> None:
    """Say what a workflow lacks, and what a person can do about what is here otherwise."""
    why = line.trouble.cause if line.trouble else f"lacks {', '.join(line.lacking)}"
    say(f"  {line.state}: {line.path.name}: {why}")
    for hint in line.hints:
        say(f"    {hint}")


def _tell_noted(line: Line) -> None:
    if line.secrets:
        many = "a secret" if line.secrets == 1 else f"{line.secrets} secrets"
        say(f"  {line.state}: {line.path.name} has {many} in it: take it out, and withdraw it")
    if line.state == "ready":
        for hint in line.hints:
            say(f"  ready: {line.path.name}: {hint}")


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

    now = replace(standing(found.settings.state.directory), troubles=tuple(troubles_of(found)))
    if json_:
        print_json(now)
        return DONE
    if now.running is None:
        click.echo("No daemon is running (start one with `comfywatchman run`).")
    else:
        click.echo(_running(now.running))
        if now.running.address:
            click.echo(f"Page, metrics and API: http://{now.running.address}/")
    counted = ", ".join(f"{count} {state}" for state, count in sorted(now.workflows.items()))
    click.echo(f"Workflows: {counted or 'none seen yet'}.")
    live = _live(found, now)
    click.echo(f"Models: {_models(found, now, live)}.")
    if any(now.notices.values()):
        words = f"{now.notices['waiting']} waiting, {now.notices['dead']} given up"
        click.echo(f"Notices: {words} (comfywatchman notify).")
    for root in live.get("roots", ()):
        if root["state"] != "online":
            say(f"  {root['state']}: {root['path']} ({root['kind']})")
    for trouble in now.troubles:
        say(f"  {trouble.code}: {trouble.cause} {trouble.remedy}")
    _tell_workflows(now)
    if now.unverifiable:
        click.echo(f"Unverifiable: {now.unverifiable}, since nobody publishes their hashes.")
    transfers = _transfers(found, now)
    asked = {f"{choice.folder}/{choice.name}" for choice in now.choices}
    for job in now.jobs:
        if job.state == "failed" and job.key in asked:
            continue  # the question below says why
        how = transfers.get(job.id) or job.cause
        say(f"  job {job.id} {job.state}: {job.kind} {job.key}" + (f": {how}" if how else ""))
    for choice in now.choices:
        _tell_choice(choice)
    return DONE
