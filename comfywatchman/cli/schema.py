"""``comfywatchman schema report``."""

from __future__ import annotations

import click

from comfywatchman.cli.options import print_json, telling_errors


@click.command(epilog="\b\nExample:\n  comfywatchman schema report > report.schema.json\n")
@click.argument("what", type=click.Choice(["report"]))
@telling_errors
def schema(what: str) -> int:
    """Print the JSON Schema of what `analyze --json` prints."""
    from comfywatchman.report.render import schema as report_schema

    print_json(report_schema())
    return 0
