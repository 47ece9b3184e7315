"""Where everything lies, as the settings and the disk say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.comfyui.layout import Layout, find_comfyui, read_layout
from comfywatchman.config.places import home, workflow_directories

if TYPE_CHECKING:
    from collections.abc import Mapping

    from comfywatchman.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything lies, as the settings and the disk say."""

    comfyui_root: Path
    layout: Layout
    workflow_dirs: tuple[Path, ...]
    state_directory: Path


def locate(settings: Settings, environ: Mapping[str, str]) -> Place:
    """Find ComfyUI and read its folder table.

    Raises:
        ComfyUINotFound: there is none where it should be.
    """
    root = find_comfyui(settings.comfyui_root, environ, home(environ))
    layout = read_layout(
        root,
        extra_files=settings.comfyui.extra_model_paths,
        model_directories=[(d.type, d.path) for d in settings.model_directories],
        base_directory=settings.comfyui.base_directory,
        models_directory=settings.comfyui.models_directory,
        output_directory=settings.comfyui.output_directory,
    )
    dirs = workflow_directories(settings.workflow_dirs, root, settings.comfyui.base_directory)
    return Place(root, layout, dirs, settings.state.directory)
