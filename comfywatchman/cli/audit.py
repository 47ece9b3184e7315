"""``comfywatchman audit``: whether the record of what was done is as it was written."""

from __future__ import annotations

from pathlib import Path

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
    telling_errors,
)

EPILOG = """\b
Examples:
  comfywatchman audit verify
  comfywatchman audit verify --json
"""

_TOLD = 20
"""Breaks named one by one."""


@click.group(cls=WithDefault, epilog=EPILOG)
def audit() -> None:
    """The audit log (audit.jsonl): what was done to the disk or asked of the daemon."""


@audit.command(epilog="\b\nExample:\n  comfywatchman audit verify --json\n")
@everywhere
@as_json
@telling_errors
def verify(config: Path | None, comfyui_root: Path | None, json_: bool) -> int:
    """Compare each line of the audit log with the hash that the next one carries.

    Ends with 1 where a line was changed, taken out or put in. That the end was cut off cannot be
    seen from the log alone: keep the hash that is printed last.
    """
    from comfywatchman.report.audit_chain import FILE
    from comfywatchman.report.audit_chain import verify as read

    directory = loaded(config, comfyui_root).settings.state.directory
    found = read(directory)
    if json_:
        print_json({"path": directory / FILE, "sound": found.sound, **_as_json(found)})
        return DONE if found.sound else LACKING
    for each in found.breaks[:_TOLD]:
        click.echo(f"line {each.line}: {each.problem}")
    if len(found.breaks) > _TOLD:
        click.echo(f"and {len(found.breaks) - _TOLD} more")
    older = f", {found.unchained} of them from before there were hashes" if found.unchained else ""
    lines = "1 line" if found.lines == 1 else f"{found.lines} lines"
    note(
        f"{directory / FILE}: {lines}{older}; {'as written' if found.sound else 'NOT as written'}."
    )
    if found.head is not None:
        click.echo(f"last {found.head}")
    return DONE if found.sound else LACKING


def _as_json(found: object) -> dict[str, object]:
    import msgspec

    plain: dict[str, object] = msgspec.to_builtins(found)
    return plain
