"""A directory of the caller's, as a place that the daemon's own workers can bring files to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from comfywatchman.api.converting import HERE
from comfywatchman.comfyui import Layout, read_layout
from comfywatchman.daemon.installation import Place
from comfywatchman.domain.files import Folder, Folders
from comfywatchman.domain.messages import (
    DownloadProgressed,
    DownloadStarted,
    DownloadVerified,
    Event,
    ModelPlaced,
)
from comfywatchman.download.simple import ProgressCallback


def one_directory(directory: Path, state: Path) -> Place:
    """Return a place whose only folder is *directory* itself; it is not walked."""
    here = Folder(HERE, (directory,), frozenset(), directory)
    folders = Folders(directory, directory, {HERE: here})
    return Place(directory, Layout(folders, (), directory), (), state)


def models_directory(directory: Path, state: Path) -> Place:
    """Return a place with ComfyUI's folders below *directory*, as below its ``models``."""
    layout = read_layout(directory, models_directory=directory)
    here = Folder(HERE, (directory,), frozenset(), directory)
    table = {**layout.folders.table, HERE: here}
    folders = Folders(directory, directory, table, layout.folders.assumed, layout.folders.code)
    return Place(directory, Layout(folders, (), directory), (), state)


class Watch:
    """Turns events into calls of a progress callback, and keeps what results are made from."""

    def __init__(
        self,
        callback: ProgressCallback | None,
        shown: Callable[[str, str], str] = lambda _folder, name: name,
    ) -> None:
        """*shown* says how the callback calls the file (folder, name)."""
        self._callback = callback
        self._shown = shown
        self.placed: dict[str, ModelPlaced] = {}
        self.verified: dict[str, DownloadVerified] = {}

    def __call__(self, event: Event) -> None:
        match event:
            case DownloadStarted(folder=folder, name=name, offset=offset, size=size):
                self._tell(folder, name, offset, size)
            case DownloadProgressed(folder=folder, name=name, done=done, size=size):
                self._tell(folder, name, done, size)
            case DownloadVerified(folder=folder, name=name):
                self.verified[f"{folder}/{name}"] = event
            case ModelPlaced(folder=folder, name=name, measured=measured):
                self.placed[f"{folder}/{name}"] = event
                self._tell(folder, name, measured.size, measured.size)
            case _:
                pass

    def _tell(self, folder: str, name: str, done: int, size: int | None) -> None:
        if self._callback is not None:
            self._callback(self._shown(folder, name), done, size)
