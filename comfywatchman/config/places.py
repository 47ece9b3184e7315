"""Where settings and state lie on this platform, and what a written path means."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import platformdirs

_APPLICATION = "comfywatchman"


def home(environ: Mapping[str, str]) -> Path:
    for name in ("HOME", "USERPROFILE"):
        if environ.get(name):
            return Path(environ[name])
    return Path.home()


def settings_file(environ: Mapping[str, str]) -> Path:
    """Return where the settings file is looked for when nobody names one.

    systemd tells of its own directory in ``CONFIGURATION_DIRECTORY`` (perhaps several, with
    colons); it is used where it holds a file.
    """
    for directory in environ.get("CONFIGURATION_DIRECTORY", "").split(":"):
        file = Path(directory) / "config.toml"
        if directory and file.exists():
            return file
    return platformdirs.user_config_path(_APPLICATION, appauthor=False) / "config.toml"


def state_directory() -> Path:
    """Return the platform's own place for state; see `load` for the one in force."""
    return platformdirs.user_state_path(_APPLICATION, appauthor=False)


def expanded(path: Path, home_directory: Path) -> Path:
    """Return *path* with a leading ``~`` replaced; ``~other`` stays as it is."""
    if path.parts[:1] == ("~",):
        return home_directory.joinpath(*path.parts[1:])
    return path


def workflow_directories(
    written: Sequence[Path], comfyui_root: Path, base_directory: Path | None = None
) -> tuple[Path, ...]:
    """Return ``workflow_dirs`` as absolute paths, without repeats.

    ComfyUI keeps ``user/`` in its base directory, which is its root unless it was told another.
    """
    base = comfyui_root / (base_directory or "")
    return tuple(dict.fromkeys(Path(os.path.normpath(base / path)) for path in written))
