"""What a service starts: this installation, with these settings, whatever PATH says there."""

from __future__ import annotations

import importlib.util
import os
import site
import stat
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Started:
    """The command of a service, and what it may write."""

    arguments: tuple[str, ...]
    """The program's absolute path first."""
    writable: tuple[Path, ...] = ()
    """Absolute directories that the daemon puts files into, besides its state."""
    unseen: tuple[str, ...] = ()
    """Keys of settings that come from an environment or a flag, which a service does not have."""


def interpreter() -> tuple[str, ...]:
    """Return how to start this Python so that nothing of an environment or a directory leaks in.

    The interpreter is named as it was called: behind the link of a virtual environment lies one
    that does not have our packages.
    """
    program = os.path.abspath(sys.executable)  # noqa: PTH100 -- resolve() follows the link
    return (program, "-E", "-P") if _for_one_user() else (program, "-I")


def run_line(
    config: Path | None, comfyui_root: Path | None, more: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the argument list that runs the daemon.

    Args:
        config: the settings file to name; ``None`` leaves it to the usual places.
        comfyui_root: named only where no file of settings says it.
        more: further options of ``run``.
    """
    named: list[str] = []
    if config is not None:
        named += ["--config", str(config.absolute())]
    if comfyui_root is not None:
        named += ["--comfyui-root", str(comfyui_root.absolute())]
    line = (*interpreter(), "-m", "comfywatchman", "run", "--log-format", "json")
    return (*line, *named, *more)


def named_outside(origins: Mapping[str, str], key: str) -> bool:
    """Whether *key* comes from a flag or the environment, which a service does not have."""
    return origins.get(key, "").startswith(("flag", "environment"))


def cover(directories: Sequence[Path]) -> tuple[Path, ...]:
    """Return *directories* as absolute paths without those below another."""
    found: list[Path] = []
    for path in sorted({Path(os.path.normpath(each.absolute())) for each in directories}):
        if not any(path.is_relative_to(above) for above in found):
            found.append(path)
    return tuple(found)


def out_of_reach(program: Path, uid: int, groups: Collection[int]) -> Path | None:
    """Return what keeps a user from running *program*, if something does: a directory on the way.

    Links on the way are followed, since that is what starting it does.
    """
    real = Path(os.path.realpath(program))
    way = (*reversed(program.parents), *reversed(real.parents), real)
    return next((each for each in way if not _may_enter(each.stat(), uid, groups)), None)


def _may_enter(status: os.stat_result, uid: int, groups: Collection[int]) -> bool:
    """Whether the mode lets a user enter a directory, or run a file."""
    if uid == 0:
        return True
    if status.st_uid == uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid in groups:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def _for_one_user() -> bool:
    """Whether our package lies where ``pip install --user`` puts it, which ``-I`` leaves out."""
    spec = importlib.util.find_spec("comfywatchman")
    if spec is None or spec.origin is None or not site.ENABLE_USER_SITE:
        return False
    return Path(spec.origin).is_relative_to(site.getusersitepackages())
