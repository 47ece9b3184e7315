"""The commands, and how a wrong call is told."""

from __future__ import annotations

import sys

import click

from comfywatchman.cli import (
    analyze,
    audit,
    cache,
    config,
    demo,
    doctor,
    download,
    export,
    fix,
    inspect,
    inventory,
    lock,
    lookups,
    run,
    schema,
    service,
    status,
    talk,
    validate,
)
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


@click.group(invoke_without_command=True, epilog=EXAMPLES, name="comfywatchman")
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
        from comfywatchman.daemon.lock import owner_of

        found = loaded(context.obj.get("config"), context.obj.get("comfyui_root"))
        if owner_of(found.settings.state.directory) is None:
            click.echo(context.get_help())
            return 0
        return status.show(found, json_=False)

    answer()


for command in (
    run.run,
    demo.demo,
    analyze.analyze,
    validate.validate,
    fix.fix,
    download.download,
    export.export,
    lock.lock,
    lock.fetch,
    inventory.inventory,
    inspect.inspect,
    status.status,
    lookups.search,
    lookups.explain,
    cache.cache,
    talk.choose,
    talk.retry,
    talk.cancel,
    config.config,
    doctor.doctor,
    service.service,
    audit.audit,
    schema.schema,
):
    commands.add_command(command)


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
