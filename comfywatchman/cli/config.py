"""``comfywatchman config``: the settings in force, and where each comes from."""

from __future__ import annotations

import os
from pathlib import Path

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

EPILOG = """\b
Examples:
  comfywatchman config init       write a commented file with every setting
  comfywatchman config show       every setting in force, and where it comes from
  comfywatchman config check      is the file right?
"""


@click.group(cls=WithDefault, epilog=EPILOG)
def config() -> None:
    """Show, check or write the settings. Without COMMAND: show."""


@config.command()
@everywhere
@as_json
@telling_errors
def show(config: Path | None, comfyui_root: Path | None, json_: bool) -> int:
    """Every setting in force, and where it comes from. Secrets are shown as ***."""
    from comfywatchman.config.show import rows

    found = loaded(config, comfyui_root)
    if json_:
        print_json(
            {
                "path": found.path,
                "settings": {
                    row.key: {"value": row.value, "origin": row.origin} for row in rows(found)
                },
            }
        )
        return DONE
    width = max(len(row.key) for row in rows(found))
    for row in rows(found):
        click.echo(f"{row.key:{width}}  {row.value!s}  ({row.origin})")
    return DONE


@config.command()
@everywhere
@as_json
@telling_errors
def check(config: Path | None, comfyui_root: Path | None, json_: bool) -> int:
    """Read the settings and say what is wrong with them: all of it at once."""
    found = loaded(config, comfyui_root)
    if json_:
        print_json({"path": found.path, "valid": True, "troubles": found.troubles})
        return DONE
    for trouble in found.troubles:
        note(f"{trouble.code}: {trouble.cause} {trouble.remedy}")
    if found.troubles:
        note("The settings are right but for that.")
    else:
        note(f"The settings are right ({found.path or 'no file; defaults and environment'}).")
    return DONE


@config.command()
@everywhere
@telling_errors
def path(config: Path | None, comfyui_root: Path | None) -> int:
    """Print where the settings file is, whether it exists or not."""
    from comfywatchman.config.load import settings_path

    click.echo(settings_path(os.environ, config))
    return DONE


@config.command()
@everywhere
@click.option("--dry-run", is_flag=True, help="Print the file instead of writing it.")
@telling_errors
def init(config: Path | None, comfyui_root: Path | None, dry_run: bool) -> int:
    """Write a settings file with every key and its meaning; an existing one is left alone."""
    from comfywatchman.config.load import settings_path
    from comfywatchman.config.show import default_file
    from comfywatchman.domain.errors import NameTaken

    text = default_file()
    if dry_run:
        click.echo(text)
        return DONE
    target = settings_path(os.environ, config)
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise NameTaken(
            f"{target} is there already.",
            remedy="Edit it, or see all settings with `comfywatchman config init --dry-run`.",
        ) from None
    target.chmod(0o600)
    note(f"Wrote {target}.")
    return DONE
