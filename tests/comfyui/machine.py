"""A machine with a home directory, and how installers leave it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from comfywatchman.comfyui import Layout
from comfywatchman.config.load import load
from comfywatchman.daemon.installation import locate

MAC, LINUX, WINDOWS = "macOS", "Linux", "Windows"


@dataclass(frozen=True)
class Machine:
    """A home directory of one system, and the environment of its programs."""

    home: Path
    system: str = LINUX

    @property
    def environ(self) -> dict[str, str]:
        found = {"HOME": str(self.home), "STATE_DIRECTORY": str(self.home / "state")}
        if self.system == WINDOWS:
            found["USERPROFILE"] = str(self.home)
            found["APPDATA"] = str(self.home / "AppData/Roaming")
            found["LOCALAPPDATA"] = str(self.home / "AppData/Local")
        return found

    def settings_of(self, name: str, linux: str | None = None) -> Path:
        below = {
            WINDOWS: f"AppData/Roaming/{name}",
            MAC: f"Library/Application Support/{name}",
            LINUX: f".config/{linux or name}",
        }
        return self.home / below[self.system]

    def found(self, **flags: object) -> tuple[Path, Layout, tuple[Path, ...]]:
        given = {key.replace("__", "."): value for key, value in flags.items()}
        place = locate(load(given, self.environ, None).settings, self.environ)
        return place.comfyui_root, place.layout, place.workflow_dirs


def write(file: Path, content: object) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def code(directory: Path) -> Path:
    """Put ComfyUI's code where it can be known by its files."""
    for name in ("main.py", "folder_paths.py"):
        write(directory / name, "")
    return directory


def directories(base: Path, *names: str) -> Path:
    for name in names:
        (base / name).mkdir(parents=True, exist_ok=True)
    return base


def roots(layout: Layout, folder: str) -> list[Path]:
    return list(layout.folders.folder(folder).roots)
