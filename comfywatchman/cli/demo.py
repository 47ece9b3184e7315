"""``comfywatchman demo``: the whole job in a scratch ComfyUI tree."""

from __future__ import annotations

from pathlib import Path

import click

from comfywatchman.cli.options import everywhere, telling_errors

EPILOG = """\b
Examples:
  comfywatchman demo
  comfywatchman demo --keep /tmp/demo --stay
"""


@click.command(epilog=EPILOG)
@everywhere
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Make the scratch tree there and leave it.",
)
@click.option("--http", metavar="HOST:PORT", help="Where the daemon serves its page and metrics.")
@click.option("--stay", is_flag=True, help="Go on until Ctrl-C.")
@telling_errors
def demo(
    config: Path | None,
    comfyui_root: Path | None,
    keep: Path | None,
    http: str | None,
    stay: bool,
) -> int:
    """Watch it work: real workflows are dropped, a model hub on loopback gives the models, the real
    daemon does the rest. No network, no account, no GPU; under a minute. It uses a ComfyUI tree of
    its own, and settings too.
    """
    from comfywatchman.demo.demo import run_demo

    return run_demo(keep, http, stay=stay)
