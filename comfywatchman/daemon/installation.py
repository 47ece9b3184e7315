"""Where everything lies, as the settings and the disk say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.comfyui import Layout, find_comfyui, read_layout, told_by_launcher
from comfywatchman.comfyui import told as told_folders
from comfywatchman.config.places import home, workflow_directories
from comfywatchman.disk.files import look
from comfywatchman.domain.errors import ComfyUINotFound, WatchmanError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from comfywatchman.config.settings import Settings
    from comfywatchman.domain.files import Stamp


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything lies, as the settings and the disk say."""

    comfyui_root: Path
    layout: Layout
    workflow_dirs: tuple[Path, ...]
    state_directory: Path


class Configuration:
    """The files that name ComfyUI's directories, so that a change of one is seen."""

    def __init__(self, place: Place, settings: Settings) -> None:
        """Note how they are now; *place* was made from them a moment ago."""
        root = place.comfyui_root
        beside = [root / "extra_model_paths.yaml", root / "extra_paths.yaml"]
        told = place.state_directory / told_folders.FILE
        self._files = [*beside, *(root / file for file in settings.comfyui.extra_model_paths), told]
        self._before = self._last = self._look()

    def changed(self) -> bool:
        """Whether one is not as it was."""
        return self._look() != self._before

    def changed_and_rests(self) -> bool:
        """Whether one is not as it was, and is as it was at the last call: nobody is writing it."""
        last, self._last = self._last, self._look()
        return self._last == last != self._before

    def _look(self) -> list[Stamp | None]:
        return [self._stamp(file) for file in self._files]

    def _stamp(self, file: Path) -> Stamp | None:
        try:
            return look(file)
        except WatchmanError:
            return None


def locate(settings: Settings, environ: Mapping[str, str]) -> Place:
    """Find ComfyUI and read its folder table.

    Raises:
        ComfyUINotFound: there is none where it should be.
    """
    flags = settings.comfyui
    root = _root(settings, environ)
    told = told_by_launcher(root, environ, home(environ))
    base = flags.base_directory or told.base_directory
    layout = read_layout(
        root,
        extra_files=flags.extra_model_paths,
        generated_files=told.extra_files,
        model_directories=[(d.type, d.path) for d in settings.model_directories],
        base_directory=base,
        models_directory=flags.models_directory or told.models_directory,
        output_directory=flags.output_directory or told.output_directory,
        told=told_folders.read_told(settings.state.directory, server_of(settings)),
    )
    dirs = workflow_directories(settings.workflow_dirs, root, base)
    return Place(root, layout, dirs, settings.state.directory)


def server_of(settings: Settings) -> str:
    """Return the address of the server whose directories count; ``""`` where nobody is asked."""
    return settings.comfyui.url.rstrip("/")


def _root(settings: Settings, environ: Mapping[str, str]) -> Path:
    """Return the directory of ComfyUI; a base directory will do where its code is nowhere."""
    try:
        return find_comfyui(settings.comfyui_root, environ, home(environ))
    except ComfyUINotFound:
        base = settings.comfyui.base_directory
        if settings.comfyui_root is not None or base is None or not base.is_absolute():
            raise
        return find_comfyui(base, environ, home(environ))
