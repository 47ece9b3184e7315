"""``comfywatchman service``: the daemon as a service of systemd or launchd."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from comfywatchman.cli.options import (
    DONE,
    LACKING,
    WithDefault,
    as_json,
    everywhere,
    note,
    print_json,
    telling_errors,
)

if TYPE_CHECKING:
    from comfywatchman.daemon.service.doing import Doing
    from comfywatchman.daemon.service.launchd import Launchd
    from comfywatchman.daemon.service.systemd import Systemd

    Manager: TypeAlias = Systemd | Launchd

EPILOG = """\b
Examples:
  comfywatchman service install           a unit of your own, for this installation
  comfywatchman service start
  comfywatchman service status --json
  comfywatchman service logs --follow
  sudo comfywatchman service install --system --user-name alice
"""


@click.group(cls=WithDefault, epilog=EPILOG)
def service() -> None:
    """The daemon as a service: a systemd user or system unit, a launchd agent. Without COMMAND:
    status.
    """


Command = Callable[..., Any]


def _of_a_unit(command: Command) -> Command:
    """Add ``--system`` and ``--user-name``, and hand the unit over that they mean."""

    @everywhere
    @click.option("--system", is_flag=True, help="The system's unit, instead of your own.")
    @click.option(
        "--user-name",
        metavar="NAME",
        help="With --system: whom it runs as; else who called sudo, or you.",
    )
    @as_json
    @telling_errors
    @wraps(command)
    def told(**given: Any) -> int:
        manager = _manager(system=given.pop("system"), user_name=given.pop("user_name"))
        status: int = command(manager=manager, **given)
        return status

    return told


def _dry(command: Command) -> Command:
    return click.option("--dry-run", is_flag=True, help="Say what would be done.")(command)


@service.command(epilog="\b\nExample:\n  comfywatchman service status --json\n")
@_of_a_unit
def status(manager: Manager, config: Path | None, comfyui_root: Path | None, json_: bool) -> int:
    """Whether it is installed, starts by itself and runs, and what it last said of itself.

    Ends with 1 where it does not run.
    """
    found = manager.standing()
    if json_:
        print_json(found)
    elif not found.installed:
        note(f"{found.unit} is not installed (`comfywatchman service install`).")
    else:
        words = "starts by itself" if found.enabled else "does not start by itself"
        click.echo(f"{found.unit}: {found.state}, {words}.")
        for label, value in (
            ("process", found.pid),
            ("since", found.since),
            ("says", found.status),
            ("started again", found.restarts),
            ("result", found.result),
            ("file", found.file),
        ):
            if value is not None:
                click.echo(f"  {label}: {value}")
    return DONE if found.running else LACKING


@service.command(
    epilog="\b\nExamples:\n  comfywatchman service install\n"
    "  comfywatchman service install --dry-run\n"
)
@_dry
@_of_a_unit
def install(
    manager: Manager,
    config: Path | None,
    comfyui_root: Path | None,
    json_: bool,
    dry_run: bool,
) -> int:
    """Write the unit for this installation and these settings, and have it start by itself.

    A file that this command did not write, or that was changed since, is left alone.
    """
    from comfywatchman.cli.starting import started_for

    started = started_for(getattr(manager, "user", None), config, comfyui_root)
    doing = _doing(dry_run)
    if not dry_run:
        manager.check()
    manager.install(doing, started)
    if dry_run and not json_:
        click.echo(manager.text(started), nl=False)
    hints = manager.hints()
    if started.unseen:
        hints.append(
            "Only your environment or a flag says this, which the service does not have: "
            f"{', '.join(started.unseen)}. Put it into the settings file, a token into a file of "
            "its own (token_file)."
        )
    return _told(manager, doing, hints, json_=json_)


@service.command(epilog="\b\nExample:\n  comfywatchman service uninstall --dry-run\n")
@_dry
@_of_a_unit
def uninstall(
    manager: Manager,
    config: Path | None,
    comfyui_root: Path | None,
    json_: bool,
    dry_run: bool,
) -> int:
    """Stop it and remove its unit; settings, state and models stay."""
    return _done(manager, manager.uninstall, dry_run=dry_run, json_=json_)


def _changing(verb: str, words: str) -> None:
    """Add the command *verb*."""

    @service.command(verb, epilog=f"\b\nExample:\n  comfywatchman service {verb}\n", help=words)
    @_dry
    @_of_a_unit
    def change(
        manager: Manager,
        config: Path | None,
        comfyui_root: Path | None,
        json_: bool,
        dry_run: bool,
    ) -> int:
        return _done(
            manager, lambda doing: manager.change(doing, verb), dry_run=dry_run, json_=json_
        )


_changing("start", "Start it, and wait until it is ready.")
_changing("stop", "Stop it; what was being fetched goes on at the next start.")
_changing("restart", "Stop it and start it again, with the unit as it is now.")


@service.command(
    epilog="\b\nExamples:\n  comfywatchman service logs --lines 500\n"
    "  comfywatchman service logs --follow\n"
)
@click.option("--lines", default=100, show_default=True, type=click.IntRange(0), help="How many.")
@click.option("--follow", is_flag=True, help="Go on with what comes.")
@_of_a_unit
def logs(
    manager: Manager,
    config: Path | None,
    comfyui_root: Path | None,
    json_: bool,
    lines: int,
    follow: bool,
) -> int:
    """What the service wrote, from the journal or, on macOS, from its log file."""
    from comfywatchman.domain.errors import ServiceUnavailable

    command = manager.logs(lines, follow=follow, json_=json_)
    sys.stdout.flush()
    try:
        os.execvp(command[0], command)  # noqa: S606 -- it takes our place: its signals, its end
    except OSError as error:
        raise ServiceUnavailable(
            f"{command[0]} cannot be run: {error.strerror}.",
            remedy="Where log.file is set, look there.",
        ) from error


def _doing(dry_run: bool) -> Doing:
    from comfywatchman.daemon.service.doing import Doing, run_program

    return Doing(run_program, dry_run)


def _done(manager: Manager, act: Callable[[Doing], None], *, dry_run: bool, json_: bool) -> int:
    doing = _doing(dry_run)
    if not dry_run:
        manager.check()
    act(doing)
    return _told(manager, doing, [], json_=json_)


def _told(manager: Manager, doing: Doing, hints: list[str], *, json_: bool) -> int:
    if json_:
        print_json(
            {
                "unit": manager.unit,
                "file": manager.file,
                "dry_run": doing.dry,
                "done": doing.said,
                "hints": hints,
            }
        )
        return DONE
    for line in (*doing.said, *hints):
        note(line)
    return DONE


def _manager(*, system: bool, user_name: str | None) -> Manager:
    """Return the unit that is meant.

    Raises:
        click.UsageError: there is none of that kind here.
    """
    from comfywatchman.config.places import home
    from comfywatchman.daemon.service.doing import run_program
    from comfywatchman.daemon.service.launchd import Launchd
    from comfywatchman.daemon.service.systemd import SYSTEM_UNITS, Systemd

    if user_name is not None and not system:
        raise click.UsageError("--user-name belongs to --system.")
    if sys.platform == "darwin":
        if system:
            raise click.UsageError("macOS has an agent of each user here, and no --system.")
        return Launchd(run_program, home(os.environ), os.getuid())
    if not system:
        return Systemd.of_the_user(run_program, os.environ, home(os.environ))
    return Systemd(run_program, SYSTEM_UNITS, _whom(user_name))


def _whom(user_name: str | None) -> str:
    """Return whom the system's unit runs as."""
    import getpass

    from comfywatchman.cli.starting import home_of

    name = user_name or os.environ.get("SUDO_USER") or getpass.getuser()
    home_of(name)
    return name
