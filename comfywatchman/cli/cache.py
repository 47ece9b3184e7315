"""``comfywatchman cache``: the answers of the hubs that are kept, and letting go of them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from comfywatchman.cli.options import (
    DONE,
    WithDefault,
    as_json,
    everywhere,
    loaded,
    note,
    print_json,
    telling_errors,
)

if TYPE_CHECKING:
    from comfywatchman.config.settings import Settings
    from comfywatchman.state.answers import Answers

EPILOG = """\b
Examples:
  comfywatchman cache stats
  comfywatchman cache clear --negative
  comfywatchman cache clear --host civitai.com
"""


@click.group(cls=WithDefault, epilog=EPILOG)
def cache() -> None:
    """Answers of the model hubs that are kept: how many, how much room, and letting them go."""


def _opened(settings: Settings) -> Answers:
    from comfywatchman.state.answers import Answers, cache_path

    path = cache_path(settings.state.directory)
    return Answers(path if path.exists() else None, settings.cache.max_bytes)


@cache.command(epilog="\b\nExample:\n  comfywatchman cache stats --json\n")
@everywhere
@as_json
@telling_errors
def stats(config: Path | None, comfyui_root: Path | None, json_: bool) -> int:
    """What is kept, by host; those that are too old are asked again when they are needed."""
    from comfywatchman.report.render.words import size_words

    found = loaded(config, comfyui_root)
    answers = _opened(found.settings)
    try:
        told = answers.stats(time.time())
    finally:
        answers.close()
    if json_:
        print_json(told)
        return DONE
    room = size_words(told.max_bytes) or "0 bytes"
    click.echo(f"{told.answers} answers, {size_words(told.bytes) or '0 bytes'} of {room}.")
    if told.path:
        click.echo(f"File: {told.path} ({size_words(told.file_bytes) or '0 bytes'})")
    for share in told.shares:
        words = f"{share.answers} {share.verdict}, {share.expired} of them too old"
        click.echo(f"  {share.host:<24} {share.kind:<9} {words}")
    for name, size in sorted(told.documents.items()):
        click.echo(f"  {name} ({size_words(size)})")
    return DONE


@cache.command(epilog="\b\nExample:\n  comfywatchman cache clear --negative\n")
@everywhere
@click.option("--host", metavar="HOST", help="Only the answers of this host.")
@click.option("--negative", is_flag=True, help="Only those that say that there is nothing.")
@click.option("--dry-run", is_flag=True, help="Say how many would go, and keep them.")
@telling_errors
def clear(
    config: Path | None,
    comfyui_root: Path | None,
    host: str | None,
    negative: bool,
    dry_run: bool,
) -> int:
    """Let answers go, so that everything is asked anew. A running daemon notices at once."""
    found = loaded(config, comfyui_root)
    answers = _opened(found.settings)
    try:
        shares = answers.stats(time.time()).shares
        fitting = [
            share.answers
            for share in shares
            if host in {None, share.host} and not (negative and share.verdict == "found")
        ]
        if not dry_run:
            answers.forget(host=host, found=not negative)
    finally:
        answers.close()
    note(f"{sum(fitting)} answers {'would go' if dry_run else 'are gone'}.")
    return DONE
