"""What every command shares: where the settings are, how an error is told, how it ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from comfywatchman.config.load import Loaded
    from comfywatchman.domain.errors import Trouble, WatchmanError
    from comfywatchman.domain.files import Folders

F = TypeVar("F", bound=Callable[..., Any])

DONE, LACKING, USAGE, UNFINISHED, INTERRUPTED = 0, 1, 2, 3, 130


def everywhere(command: F) -> F:
    """Add ``--config``, ``--comfyui-root``, and what a server is told of its directories."""
    for flag, name in reversed([*SERVER_FLAGS.items()]):
        several = flag in SEVERAL
        command = click.option(
            flag,
            name.replace(".", "__"),
            type=click.Path(path_type=Path),
            multiple=several,
            metavar="FILE…" if several else "DIR",
            expose_value=False,
            callback=_keep,
            help=f"What ComfyUI is given as {flag}.",
        )(command)
    command = click.option(
        "--comfyui-root",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="The directory that holds ComfyUI.",
    )(command)
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Settings file, instead of the one in the user's configuration directory.",
    )(command)


SERVER_FLAGS: Mapping[str, str] = {
    "--base-directory": "comfyui.base_directory",
    "--models-directory": "comfyui.models_directory",
    "--output-directory": "comfyui.output_directory",
    "--extra-model-paths-config": "comfyui.extra_model_paths",
}
"""Flags of ComfyUI's server that say where models lie, and the settings that they stand for."""

SEVERAL = frozenset({"--extra-model-paths-config"})
_KEPT = "comfywatchman.server_flags"


def _keep(context: click.Context, option: click.Parameter, value: object) -> None:
    """Note what was given, before or after the name of the command; the latter wins."""
    if value and option.name is not None:
        context.meta.setdefault(_KEPT, {})[option.name] = value


def as_comfyui_takes_them(words: Sequence[str]) -> list[str]:
    """Return *words* with the flag before each of several files, as ComfyUI takes them after one.

    A command line that starts ComfyUI can be given as it is. Only ``.yaml`` and ``.yml`` files
    are taken in, since what else follows may be a workflow.
    """
    found: list[str] = []
    flag = ""
    for at, word in enumerate(words):
        if word in SEVERAL:
            flag = word
        elif word.startswith("-"):
            flag = ""
        elif flag and words[at - 1] != flag:
            if word.lower().endswith((".yaml", ".yml")):
                found.append(flag)
            else:
                flag = ""
        found.append(word)
    return found


class WithDefault(click.Group):
    """A group that takes a call without a subcommand for its first one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            return super().parse_args(ctx, args)  # what is no command is told as such
        named = any(arg in self.commands for arg in args)
        if not named and "--help" not in args:
            args = [next(iter(self.commands)), *args]
        elif args and args[0] not in self.commands and "--help" not in args:
            # Options before the subcommand belong to it.
            place = next(i for i, arg in enumerate(args) if arg in self.commands)
            args = [args[place], *args[:place], *args[place + 1 :]]
        return super().parse_args(ctx, args)


def of_comfyui(folders: Folders, name: str | None) -> str | None:
    """Return the folder of ComfyUI that *name* means, old names included; ``None`` for ``None``.

    Raises:
        click.UsageError: there is none of that name.
    """
    if name is None or name in folders.table:
        return name
    from difflib import get_close_matches

    from comfywatchman.domain.files import folder_name

    meant = folder_name(name)
    if meant in folders.table or any(root.is_dir() for root in folders.folder(meant).roots):
        return meant  # a pack's directory below models, such as sams, is a folder as well
    near = get_close_matches(name, folders.table, 1, 0.5)
    known = f"the nearest is {near[0]}" if near else f"there are {', '.join(sorted(folders.table))}"
    raise click.UsageError(f"ComfyUI has no folder {name!r} here; {known}.")


def tell_closed(directory: Path, trouble: Trouble) -> None:
    """Say that models may be where nobody can look for them."""
    note(f"warning: {trouble.cause} Models in it count as missing. {trouble.remedy}")


def tell_unread(unread: Sequence[tuple[Path, Trouble]]) -> int:
    """Say which directories could not be read; return the exit status that this is worth."""
    for _, trouble in unread:
        note(f"{trouble.cause} {trouble.remedy}")
    return UNFINISHED if unread else DONE


def offline_flag(command: F) -> F:
    """Add ``--offline``."""
    return click.option(
        "--offline", is_flag=True, help="Ask nobody; say what would have been asked."
    )(command)


def as_json(command: F) -> F:
    """Add ``--json``."""
    return click.option("--json", "json_", is_flag=True, help="Print JSON, for programs.")(command)


def telling_errors(command: Callable[..., int | None]) -> Callable[..., None]:
    """Turn errors into their three lines (or JSON) and an exit status."""

    @wraps(command)
    def told(*args: Any, **kwargs: Any) -> None:
        from comfywatchman.domain.errors import WatchmanError

        try:
            status = command(*args, **kwargs)
        except WatchmanError as error:
            tell(error.trouble(), json_=bool(kwargs.get("json_")))
            sys.exit(error.exit_status)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            sys.exit(INTERRUPTED)
        except BrokenPipeError:
            # Whoever read our output has seen enough; nothing more can be told there.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(DONE)
        sys.exit(status or DONE)

    return told


def tell(trouble: Trouble, *, json_: bool) -> None:
    """Print an error for people on stderr, or for programs on stdout."""
    if json_:
        import json

        body = {"code": trouble.code, "cause": trouble.cause, "remedy": trouble.remedy}
        click.echo(json.dumps({"error": body}))
        return
    click.echo(f"error: {trouble.code}", err=True)
    for line in (trouble.cause, trouble.remedy):
        if line:
            click.echo("  " + line.replace("\n", "\n  "), err=True)


def loaded(config: Path | None, comfyui_root: Path | None, **flags: object) -> Loaded:
    """Read the settings, flags before environment before file.

    Raises:
        SettingsInvalid: with every problem in one message.
    """
    from comfywatchman.config.load import load

    config = config or before_the_command("config")
    comfyui_root = comfyui_root or before_the_command("comfyui_root")
    context = click.get_current_context(silent=True)
    kept = {} if context is None else context.meta.get(_KEPT, {})
    every = {**kept, **flags}
    given = {key.replace("__", "."): value for key, value in every.items() if value is not None}
    if comfyui_root is not None:
        given["comfyui_root"] = comfyui_root
    return load(given, os.environ, config)


def before_the_command(option: str) -> Path | None:
    """Return what was given for *option* before the name of the command."""
    context = click.get_current_context(silent=True)
    given: dict[str, Path] = context.find_root().obj or {} if context is not None else {}
    return given.get(option)


def print_json(value: bytes | object) -> None:
    """Print *value*, indented, to stdout; names that are not UTF-8 as escapes."""
    import msgspec

    from comfywatchman.report.render import encoded

    plain = value if isinstance(value, bytes) else msgspec.to_builtins(value, enc_hook=str)
    data = plain if isinstance(plain, bytes) else encoded(plain)
    sys.stdout.write(msgspec.json.format(data, indent=2).decode() + "\n")


def say(text: str) -> None:
    """Print a line of data with a stranger's name in it: no bytes a terminal would obey."""
    from comfywatchman.report.visible import visible

    click.echo(visible(text))


def note(text: str) -> None:
    """Say something to the person, which is no data."""
    click.echo(text, err=True)


def refuse(error: WatchmanError) -> int:
    tell(error.trouble(), json_=False)
    return error.exit_status
