"""The commands, and how a wrong call is told."""

from __future__ import annotations

import sys

import click

from comfywatchman.cli.lazily import Lazily
from comfywatchman.cli.options import (
    INTERRUPTED,
    USAGE,
    as_comfyui_takes_them,
    everywhere,
    loaded,
    telling_errors,
)

EXAMPLES = """\b
Examples:
  comfywatchman run                       the daemon, in the foreground
  comfywatchman analyze workflow.json     what a workflow needs, has and lacks
  comfywatchman fix workflow.json         fetch what it lacks, once
  comfywatchman status                    what the daemon does and waits for
"""


COMMANDS = Lazily(
    {
        "run": "run:run",
        "demo": "demo:demo",
        "analyze": "analyze:analyze",
        "validate": "validate:validate",
        "fix": "fix:fix",
        "download": "download:download",
        "export": "export:export",
        "lock": "lock:lock",
        "fetch": "lock:fetch",
        "inventory": "inventory:inventory",
        "inspect": "inspect:inspect",
        "status": "status:status",
        "search": "lookups:search",
        "explain": "lookups:explain",
        "cache": "cache:cache",
        "choose": "talk:choose",
        "retry": "talk:retry",
        "cancel": "talk:cancel",
        "queue": "queue:queue",
        "config": "config:config",
        "doctor": "doctor:doctor",
        "service": "service:service",
        "audit": "audit:audit",
        "notify": "notify:notify",
        "state": "state:state",
        "schema": "schema:schema",
    }
)


@click.group(invoke_without_command=True, epilog=EXAMPLES, name="comfywatchman", commands=COMMANDS)
@click.version_option(package_name="comfywatchman")
@everywhere
@click.pass_context
def commands(context: click.Context, /, **shared: object) -> None:
    """Drop a ComfyUI workflow into a folder, and the models it needs are on disk, verified, where
    ComfyUI looks.
    """
    context.obj = {key: value for key, value in shared.items() if value is not None}
    if context.invoked_subcommand is None:
        _what_now(context)


def _what_now(context: click.Context) -> None:
    """With no command: what the daemon is doing, or, if none runs, a short help."""

    @telling_errors
    def answer() -> int:
        from comfywatchman.cli import status
        from comfywatchman.daemon.lock import owner_of

        found = loaded(context.obj.get("config"), context.obj.get("comfyui_root"))
        if owner_of(found.settings.state.directory) is None:
            click.echo(context.get_help())
            return 0
        return status.show(found, json_=False)

    answer()


def main() -> None:
    """Run the command line; wrong usage ends with status 2 in the form of every other error."""
    try:
        words = as_comfyui_takes_them(sys.argv[1:])
        commands.main(words, prog_name="comfywatchman", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        sys.exit(INTERRUPTED)
    except click.ClickException as error:
        from comfywatchman.cli.options import tell
        from comfywatchman.domain.errors import Trouble

        where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else ""
        remedy = f"See `{where or 'comfywatchman'} --help`."
        tell(Trouble("usage", error.format_message(), remedy), json_="--json" in sys.argv)
        sys.exit(USAGE)
