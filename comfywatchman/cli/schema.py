"""``comfywatchman schema report``."""

from __future__ import annotations

from pathlib import Path

import click

from comfywatchman.cli.options import everywhere, print_json, telling_errors


@click.command(epilog="\b\nExample:\n  comfywatchman schema report > report.schema.json\n")
@everywhere
@click.argument("what", type=click.Choice(["report"]))
@telling_errors
def schema(config: Path | None, comfyui_root: Path | None, what: str) -> int:
    """Print the JSON Schema of what `analyze --json` prints."""
    from comfywatchman.report.render import schema as report_schema

    print_json(report_schema())
    return 0
