"""``comfywatchman config``: the settings in force, and where each comes from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from comfywatchman.cli.options import (
    DONE,
    WithDefault,
    as_json,
    before_the_command,
    everywhere,
    loaded,
    note,
    print_json,
    telling_errors,
)
from comfywatchman.cli.placing import troubles_of

if TYPE_CHECKING:
    from comfywatchman.domain.errors import SettingsInvalid, Trouble

EPILOG = """\b
Examples:
  comfywatchman config init       write a commented file with every setting
  comfywatchman config show       every setting in force, and where it comes from
  comfywatchman config check      is the file right?
"""


@click.group(cls=WithDefault, epilog=EPILOG)
def config() -> None:
    """Show, check or write the settings. Without COMMAND: show."""


@config.command(epilog="\b\nExample:\n  comfywatchman config show --json\n")
@everywhere
@as_json
@telling_errors
def show(config: Path | None, comfyui_root: Path | None, json_: bool) -> int:
    """Every setting in force, and where it comes from. Secrets are shown as ***."""
    from comfywatchman.config.show import rows, shown

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
        click.echo(f"{row.key:{width}} = {shown(row)}")
    return DONE


@config.command(epilog="\b\nExample:\n  comfywatchman config check --config new.toml\n")
@everywhere
@as_json
@telling_errors
def check(config: Path | None, comfyui_root: Path | None, json_: bool) -> int:
    """Read the settings and what they name, and say what is wrong with them, and with ComfyUI's
    extra_model_paths.yaml: all of it at once.
    """
    from comfywatchman.daemon.proving import refused, unsigned

    found = loaded(config, comfyui_root)
    troubles = (*found.troubles, *unsigned(found.settings), *troubles_of(found))
    if wrong := refused(found.settings):
        raise _wrong((*wrong, *troubles))
    if json_:
        print_json({"path": found.path, "valid": True, "troubles": troubles})
        return DONE
    for trouble in troubles:
        note(f"{trouble.code}: {trouble.cause} {trouble.remedy}")
    if troubles:
        note("The settings are right but for that.")
    else:
        note(f"The settings are right ({found.path or 'no file; defaults and environment'}).")
    return DONE


@config.command(epilog="\b\nExample:\n  $EDITOR $(comfywatchman config path)\n")
@everywhere
@as_json
@telling_errors
def path(config: Path | None, comfyui_root: Path | None, json_: bool) -> int:
    """Print where the settings file is, whether it exists or not."""
    place = _place(config)
    if json_:
        print_json({"path": place, "exists": place.exists()})
    else:
        click.echo(os.fsencode(place))
    return DONE


@config.command(epilog="\b\nExample:\n  comfywatchman config init --dry-run\n")
@everywhere
@click.option("--dry-run", is_flag=True, help="Print the file instead of writing it.")
@telling_errors
def init(config: Path | None, comfyui_root: Path | None, dry_run: bool) -> int:
    """Write a settings file with every key and its meaning; an existing one is left alone."""
    from comfywatchman.cli.exporting import write_new
    from comfywatchman.config.show import default_file
    from comfywatchman.disk.errors import writing_failed
    from comfywatchman.domain.errors import NameTaken

    text = default_file()
    if dry_run:
        click.echo(text)
        return DONE
    target = _place(config)
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise writing_failed(error, target) from error
    try:
        write_new(target, text.encode())
    except FileExistsError:
        raise NameTaken(
            f"{target} is there already.",
            remedy="Edit it, or see all settings with `comfywatchman config init --dry-run`.",
        ) from None
    note(f"Wrote {target}.")
    return DONE


def _wrong(troubles: Sequence[Trouble]) -> SettingsInvalid:
    """Return all *troubles* as one error, as `loaded` raises what it finds."""
    from comfywatchman.domain.errors import SettingsInvalid

    if len(troubles) == 1:
        return SettingsInvalid(troubles[0].cause, remedy=troubles[0].remedy)
    lines = [f"{trouble.cause} {trouble.remedy}" for trouble in troubles]
    return SettingsInvalid(
        "\n".join([f"{len(lines)} settings are wrong:", *lines]),
        remedy="Correct that; `comfywatchman config check` tells whether all is well.",
    )


def _place(config: Path | None) -> Path:
    from comfywatchman.config.load import settings_path

    return settings_path(os.environ, config or before_the_command("config"))
