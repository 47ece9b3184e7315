"""The model files that are here."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.api.converting import folder_of
from comfywatchman.api.files import save_json_file
from comfywatchman.api.settings import Config, settings_of, with_keys
from comfywatchman.api.told import told
from comfywatchman.api.values import ModelInfo
from comfywatchman.domain.api_errors import ConfigurationError

if TYPE_CHECKING:
    from comfywatchman.domain.files import Folders, ModelFile


class ModelInventory:
    """One picture of the model files; `build` and `refresh` make another. Any thread may use it.

    Nothing is read but names and heads, so that it is quick; hashes are those that the daemon, or
    ``comfywatchman inventory verify``, has measured.
    """

    def __init__(self, config: Config = None) -> None:
        """Prepare; the disk is looked at when something is first asked.

        Raises:
            ConfigurationError: the settings cannot be used.
        """
        self.settings = settings_of(config)
        self._lock = threading.Lock()
        self._models: tuple[ModelInfo, ...] | None = None

    def build(self, comfyui_root: str | os.PathLike[str] | None = None) -> ModelInventory:
        """Look at the disk, of the ComfyUI at *comfyui_root* from now on; return itself.

        Raises:
            ConfigurationError: there is no ComfyUI.
        """
        with self._lock:
            if comfyui_root is not None:
                root = Path(comfyui_root).expanduser().absolute()
                self.settings = with_keys(self.settings, {"comfyui_root": root})
            self._models = self._walked()
        return self

    def refresh(self) -> ModelInventory:
        """Look at the disk again; return itself."""
        return self.build()

    def has_model(self, filename: str) -> bool:
        """Say whether a whole file of that name is here.

        *filename* is a name, a name with its subfolder, or one with its folder before
        (``loras/style/x.safetensors``); letter case counts.
        """
        return self.get_model_info(filename) is not None

    def get_model_info(self, filename: str) -> ModelInfo | None:
        """Return the file that *filename* means, see `has_model`; the first of several."""
        wanted = filename.replace("\\", "/")
        for model in self:
            names = (model.name, f"{model.type_hint}/{model.name}", model.path.name)
            if wanted in names and model.metadata["whole"]:
                return model
        return None

    def get_models_by_type(self, model_type: str) -> list[ModelInfo]:
        """Return the files of a folder: ``loras``, ``lora``, ``LORA``."""
        folder = folder_of(model_type)
        return [model for model in self if model.type_hint == folder]

    def export_json(self, path: str | os.PathLike[str]) -> Path:
        """Write ``{"models": [...]}`` to *path*, one entry for each name; return the path."""
        return save_json_file(path, {"models": list(self)})

    def __iter__(self) -> Iterator[ModelInfo]:
        return iter(self._known())

    def __len__(self) -> int:
        return len(self._known())

    def __contains__(self, filename: object) -> bool:
        return isinstance(filename, str) and self.has_model(filename)

    def __bool__(self) -> bool:
        return True  # an inventory without models is one

    def _known(self) -> tuple[ModelInfo, ...]:
        with self._lock:
            if self._models is None:
                self._models = self._walked()
            return self._models

    def _walked(self) -> tuple[ModelInfo, ...]:
        from comfywatchman.daemon.installation import locate
        from comfywatchman.daemon.survey import files_on_disk

        with told(ConfigurationError):
            place = locate(self.settings, os.environ)
            folders = place.layout.folders
            found = list(files_on_disk(folders, self.settings.state.directory))
            known = _on_civitai(self.settings.state.directory)
        rows = (info for file in found for info in _infos(file, folders, known))
        return tuple(sorted(rows, key=lambda info: (info.type_hint or "", info.name, info.path)))


Ids = tuple[int, int]
"""Of a model of Civitai and of its version."""
_NOBODY_KNOWS = (None, None)
_PAGE = re.compile(r"/models/(\d{1,16})\?modelVersionId=(\d{1,16})$")


def _on_civitai(state: Path) -> dict[str, Ids]:
    """Return the ids of what was fetched and is on Civitai, by the SHA-256 of its bytes."""
    from comfywatchman.domain.jobs import FetchModel
    from comfywatchman.state import jobs, store

    reader = store.open_reader(state)
    if reader is None:
        return {}
    try:
        rows = reader.read(lambda c: jobs.listed(c, kind=FetchModel.kind, limit=1_000_000))
    finally:
        reader.close()
    sources = [one for row in rows if isinstance(row.job, FetchModel) for one in row.job.sources]
    pages = ((one.sha256, _PAGE.search(one.page or "")) for one in sources)
    return {sha256: (int(page[1]), int(page[2])) for sha256, page in pages if sha256 and page}


def _infos(file: ModelFile, folders: Folders, known: Mapping[str, Ids]) -> Iterator[ModelInfo]:
    model_id, version_id = known.get(file.sha256 or "", _NOBODY_KNOWS)
    named = list(folders.listed(file.path))
    trouble = None if file.trouble is None else file.trouble.cause
    for row in named:
        yield ModelInfo(
            name=row.name,
            path=file.path,
            hash=file.sha256,
            type_hint=row.folder,
            size_bytes=file.size,
            civitai_id=model_id,
            civitai_version_id=version_id,
            metadata={
                "whole": file.whole,
                "error": trouble,
                "mtime": file.stamp.mtime_ns / 1e9,
                "also_in": [other.folder for other in named if other.folder != row.folder],
            },
        )
