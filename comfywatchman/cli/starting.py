"""What the service is to start: this program, with the settings of whom it runs as."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from comfywatchman.cli.options import before_the_command, loaded

if TYPE_CHECKING:
    from comfywatchman.config.load import Loaded
    from comfywatchman.daemon.service.command import Started

_FOR_ALL = Path("/etc/comfywatchman/config.toml")


def started_for(user: str | None, config: Path | None, comfyui_root: Path | None) -> Started:
    """Return the command of the service, and where it writes.

    Args:
        user: whom the system unit runs as; ``None`` for the own unit of who calls.
        config: ``--config``.
        comfyui_root: ``--comfyui-root``.

    Raises:
        SettingsInvalid, ComfyUINotFound: the daemon would not start with them.
        ServiceUnavailable: that user may not run this program.
    """
    from comfywatchman.daemon.service.command import Started, cover, named_outside, run_line

    config = config or before_the_command("config")
    environ = os.environ if user is None else _environ_of(user)
    found = loaded(config, comfyui_root) if user is None else _loaded(environ, config, comfyui_root)
    root = found.settings.comfyui_root
    named = root if named_outside(found.origins, "comfyui_root") else None
    line = run_line(found.path, named)
    if user is None:
        given = (key for key in found.origins if named_outside(found.origins, key))
        return Started(line, unseen=tuple(key for key in given if key != "comfyui_root"))
    _check_reach(Path(line[0]), user)
    return Started(line, cover(_places(found, environ)))


def home_of(user: str) -> Path:
    """Return the home directory of *user*.

    Raises:
        click.UsageError: there is no such user.
    """
    import pwd

    try:
        return Path(pwd.getpwnam(user).pw_dir)
    except KeyError:
        raise click.UsageError(f"There is no user {user!r}.") from None


def _check_reach(program: Path, user: str) -> None:
    """Refuse a unit that could not even start.

    Raises:
        ServiceUnavailable: *user* may not run our Python.
    """
    import pwd

    from comfywatchman.daemon.service.command import out_of_reach
    from comfywatchman.domain.errors import ServiceUnavailable

    entry = pwd.getpwnam(user)
    groups = os.getgrouplist(user, entry.pw_gid)
    closed = out_of_reach(program, entry.pw_uid, groups)
    if closed is not None:
        raise ServiceUnavailable(
            f"User {user} cannot run {program}: {closed} is closed to that user.",
            remedy="Install comfywatchman where everybody can run it, as in /opt, with a Python "
            "of the system, and call `service install` of that one.",
        )


def _environ_of(user: str) -> Mapping[str, str]:
    """Return what a service of *user* has of an environment, as far as settings go."""
    return {"HOME": str(home_of(user)), "USER": user, "LOGNAME": user}


def _loaded(environ: Mapping[str, str], config: Path | None, comfyui_root: Path | None) -> Loaded:
    """Read the settings of another user, and none of who calls."""
    from comfywatchman.config.load import load

    own = Path(environ["HOME"]) / ".config" / "comfywatchman" / "config.toml"
    for place in (_FOR_ALL, own):
        if config is None and os.path.exists(place):  # noqa: PTH110 -- says no where exists raises
            config = place
    root = comfyui_root or before_the_command("comfyui_root")
    flags = {} if root is None else {"comfyui_root": root}
    return load(flags, environ, config)


def _places(found: Loaded, environ: Mapping[str, str]) -> list[Path]:
    """Return where the daemon puts files; anywhere else it only reads."""
    from comfywatchman.daemon.installation import locate

    place = locate(found.settings, environ)
    first = (folder.write_root for folder in place.layout.folders.table.values())
    places = [_with_siblings(root) for root in first if root is not None]
    if found.settings.log.file is not None:
        places.append(found.settings.log.file.parent)
    if found.origins["state.directory"] != "default":
        places.append(found.settings.state.directory)
    return places


def _with_siblings(root: Path) -> Path:
    """Return ``models`` for what lies in it: a pack's folder there may be made later."""
    return root.parent if root.parent.name == "models" else root
