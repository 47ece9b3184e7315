"""One ComfyUI installation: where it is, and where each of its folders lies."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from comfywatchman.comfyui.extra_paths import ExtraPath, read_extra_paths
from comfywatchman.comfyui.places import inner, usual_places
from comfywatchman.comfyui.table import (
    DIRECTORIES,
    NOT_MODELS,
    OUTPUT_DIRECTORIES,
    TYPE_WORDS,
    suffixes,
)
from comfywatchman.domain.errors import ComfyUINotFound, SettingsInvalid, Trouble
from comfywatchman.domain.files import MODEL_SUFFIXES, Folder, Folders, folder_name

_REMEDY = "Set comfyui_root (COMFYUI_ROOT, --comfyui-root) to the directory that holds ComfyUI."


@dataclass(frozen=True, slots=True)
class Layout:
    """The folder table of one installation, and what in its configuration could not be used."""

    folders: Folders
    troubles: tuple[Trouble, ...] = ()
    base: Path = Path()
    """What ComfyUI calls its base directory: models, custom nodes and users lie below it."""
    custom_nodes: tuple[Path, ...] = ()
    """Where node packs are looked for; the directories need not be there."""
    own: Folders | None = None
    """The folder table as files and settings make it, without what a server told."""


def find_comfyui(configured: Path | None, environ: Mapping[str, str], home: Path) -> Path:
    """Return the directory of ComfyUI: *configured*, or the first of the usual places.

    The path is absolute, spelled as configured (links are not resolved). The directory that
    holds the portable build is taken for the ``ComfyUI`` in it.

    Raises:
        ComfyUINotFound: *configured* is no ComfyUI tree, or no usual place has one.
    """
    if configured is not None:
        return _configured(configured)
    for place in usual_places(environ, home, Path.cwd()):
        found = inner(place)
        if found is not None:
            return found
    raise ComfyUINotFound("ComfyUI is in none of the usual places.", remedy=_REMEDY)


def _configured(configured: Path) -> Path:
    place = Path(os.path.normpath(configured.absolute()))
    if not place.is_dir():
        raise ComfyUINotFound(f"{place} is no directory.", remedy=_REMEDY)
    found = inner(place)
    if found is not None:
        return found
    if (place / "models").is_dir():
        return place
    raise ComfyUINotFound(
        f"{place} holds neither main.py and folder_paths.py nor a models directory.",
        remedy=_REMEDY,
    )


def read_layout(
    comfyui_root: Path,
    *,
    extra_files: Sequence[Path] = (),
    generated_files: Sequence[Path] = (),
    model_directories: Sequence[tuple[str, Path]] = (),
    base_directory: Path | None = None,
    models_directory: Path | None = None,
    output_directory: Path | None = None,
    told: Mapping[str, Sequence[Path]] = MappingProxyType({}),
) -> Layout:
    """Return ComfyUI's folder table as the server itself would build it, plus our additions.

    Relative paths are relative to *comfyui_root*, those of *model_directories* to the base.

    Args:
        comfyui_root: where ``extra_model_paths.yaml`` is looked for; the base of everything
            unless *base_directory* is given.
        extra_files: further files of that kind (``--extra-model-paths-config``).
        generated_files: those that a program wrote, read before them; it lists every folder that
            there may be, so their directories need not exist.
        model_directories: (type, directory) of the settings; a type is a folder name or a
            word for one (``lora``).
        base_directory: ``--base-directory``.
        models_directory: ``--models-directory``.
        output_directory: ``--output-directory``.
        told: folder -> directories that a running server reads, those that are ours spelled as
            here; it decides where a file goes.

    Raises:
        ComfyUINotFound: *comfyui_root* is no directory. Whatever else is wrong is a trouble.
    """
    if not comfyui_root.is_dir():
        raise ComfyUINotFound(f"{comfyui_root} is no directory.", remedy=_REMEDY)
    base = comfyui_root / (base_directory or "")
    growing = _Growing(comfyui_root / models_directory if models_directory else base / "models")
    beside = [comfyui_root / name for name in ("extra_model_paths.yaml", "extra_paths.yaml")]
    assumed: set[Path] = set()
    for file in filter(os.path.lexists, beside):
        growing.read(file)
    for file in dict.fromkeys(comfyui_root / file for file in generated_files):
        assumed.update(growing.read(file))
    for file in dict.fromkeys(comfyui_root / file for file in extra_files):
        if file not in generated_files:
            growing.read(file)
    output = comfyui_root / output_directory if output_directory else base / "output"
    for name, directory in OUTPUT_DIRECTORIES.items():
        growing.add(name, output / directory)
        assumed.add(output / directory)
    for kind, place in model_directories:
        growing.configure(kind, base / place)
    custom_nodes = dict.fromkeys((base / "custom_nodes", *growing.custom_nodes))
    code = frozenset(custom_nodes)
    own = Folders(comfyui_root, growing.models, growing.table(), frozenset(assumed), code)
    folders = own
    if told:
        growing.follow(told)
        folders = Folders(comfyui_root, growing.models, growing.table(), frozenset(assumed), code)
    return Layout(folders, tuple(growing.troubles), base, tuple(custom_nodes), own)


@dataclass(slots=True)
class _Growing:
    """A folder table while it is read; lives for one `read_layout`."""

    models: Path
    roots: dict[str, list[Path]] = field(init=False)
    first: dict[str, Path] = field(default_factory=dict)
    """Folder -> the path that a section with ``is_default`` put first."""
    download_base: Path | None = None
    """``download_model_base``: the root for new files that ComfyUI-Manager reads."""
    custom_nodes: list[Path] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    served: dict[str, Sequence[Path]] = field(default_factory=dict)
    """Folder -> the directories that a running server reads, where they are other ones."""

    def __post_init__(self) -> None:
        self.roots = {
            name: [self.models / directory for directory in directories]
            for name, directories in DIRECTORIES.items()
        }

    def read(self, file: Path) -> list[Path]:
        """Take what *file* says, and return the directories that it names."""
        paths, troubles = read_extra_paths(file)
        self.troubles.extend(troubles)
        for path in paths:
            self._take(path)
        return [extra.path for extra in paths]

    def _take(self, extra: ExtraPath) -> None:
        if extra.key == "download_model_base":
            self.download_base = extra.path
        elif extra.key == "custom_nodes":
            self.custom_nodes.append(extra.path)
        elif extra.key not in NOT_MODELS:
            self.add(extra.key, extra.path, first=extra.first)

    def add(self, key: str, path: Path, *, first: bool = False) -> None:
        """Add *path* as ``add_model_folder_path`` does: at the end, or at the front."""
        name = folder_name(key)
        roots = self.roots.setdefault(name, [])
        if first:
            self.first[name] = path
            if path in roots:
                roots.remove(path)
            roots.insert(0, path)
        elif path not in roots:
            roots.append(path)

    def configure(self, kind: str, path: Path) -> None:
        word = kind.strip().replace("-", "_").replace(" ", "_")
        name = TYPE_WORDS.get(word.lower(), word)
        if not name or ".." in Path(name).parts or Path(name).is_absolute():
            self.troubles.append(
                SettingsInvalid(
                    f"model_directories has the type {kind!r}, which is no folder name.",
                    remedy="Write the folder's name as ComfyUI has it, such as loras.",
                ).trouble()
            )
            return
        lowered = folder_name(name.lower())
        self.add(lowered if lowered in self.roots else name, path)

    def follow(self, told: Mapping[str, Sequence[Path]]) -> None:
        for name, paths in told.items():
            for path in paths:
                self.add(name, path)
            self.served[name] = paths

    def table(self) -> dict[str, Folder]:
        return {
            name: Folder(
                name,
                tuple(roots),
                suffixes(name) if name in DIRECTORIES else MODEL_SUFFIXES,
                self._write_root(name, roots),
            )
            for name, roots in self.roots.items()
        }

    def _write_root(self, name: str, roots: Sequence[Path]) -> Path:
        """Return where a new file of the folder goes.

        ComfyUI's own answer is the first path (folder_paths.get_folder_paths(name)[0]; the
        desktop program downloads to it). That is ``models/unet`` for diffusion models, which a
        checkout of ComfyUI has. Where it is not there, no directory is made under the old name:
        the file goes to the one that has the folder's own name, as templates say. A running
        server that does not read that directory at all has the last word.
        """
        target = self._preferred(name, roots)
        served = self.served.get(name, ())
        return served[0] if served and target not in served else target

    def _preferred(self, name: str, roots: Sequence[Path]) -> Path:
        if name in self.first:
            return roots[0]
        if self.download_base is not None and self.download_base / name in roots:
            return self.download_base / name
        own = self.models / name
        older = own in roots and roots[0] != own and roots[0].parent == self.models
        return own if older and not roots[0].is_dir() else roots[0]
