"""``comfywatchman run``: the daemon in the foreground; what the service starts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from comfywatchman.cli.options import everywhere, loaded, offline_flag, telling_errors

if TYPE_CHECKING:
    from comfywatchman.config.load import Loaded

EPILOG = """\b
Examples:
  comfywatchman run
  comfywatchman run --comfyui-root ~/ComfyUI --http 127.0.0.1:8189
  comfywatchman run --log-format text --no-download
"""


@click.command(epilog=EPILOG)
@everywhere
@click.option(
    "--workflows",
    "workflow_dirs",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Watch this directory for workflows; can be given several times.",
)
@click.option("--http", "listen", metavar="HOST:PORT", help='Where to serve; "" for no server.')
@click.option("--log-format", type=click.Choice(["json", "text"]), help="json, or text for people.")
@click.option("--no-download", is_flag=True, help="Analyze and resolve, but fetch nothing.")
@offline_flag
@telling_errors
def run(
    config: Path | None,
    comfyui_root: Path | None,
    workflow_dirs: tuple[Path, ...],
    listen: str | None,
    log_format: str | None,
    no_download: bool,
    offline: bool,
) -> int:
    """Watch the workflow and model directories, and fetch what is missing, until told to stop.

    SIGTERM or Ctrl-C stops within five seconds; what was being fetched goes on at the next start.
    SIGHUP reads the settings again.
    """
    import signal

    # A reload that is asked for before we can hear it must not end us: these settings are new.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from comfywatchman.report.lean import keep_guessing_out, keep_rich_out, share_methods

    share_methods()
    keep_rich_out()
    keep_guessing_out()
    from comfywatchman.daemon.run import run_daemon

    def read() -> Loaded:
        return loaded(
            config,
            comfyui_root,
            workflow_dirs=[path.absolute() for path in workflow_dirs] or None,
            http__listen=listen,
            log__format=log_format,
            offline=offline or None,
        )

    return run_daemon(read, download=not no_download)
