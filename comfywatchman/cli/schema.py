"""``comfywatchman schema report`` and ``schema lock``."""

from __future__ import annotations

from pathlib import Path

import click

from comfywatchman.cli.options import everywhere, print_json, telling_errors


@click.command(epilog="\b\nExample:\n  comfywatchman schema report > report.schema.json\n")
@everywhere
@click.argument("what", type=click.Choice(["report", "lock"]))
@telling_errors
def schema(config: Path | None, comfyui_root: Path | None, what: str) -> int:
    """Print the JSON Schema of what `analyze --json` prints, or of a lock file."""
    from comfywatchman.report.locks import schema as lock_schema
    from comfywatchman.report.render import schema as report_schema

    print_json(lock_schema() if what == "lock" else report_schema())
    return 0
