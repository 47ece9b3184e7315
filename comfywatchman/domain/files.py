"""Model files, what was promised and measured about them, and where each folder lies."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from comfywatchman.domain.errors import Trouble

LEGACY_FOLDERS: Mapping[str, str] = {"unet": "diffusion_models", "clip": "text_encoders"}
"""Old folder names that ComfyUI maps in every function (folder_paths.py)."""

PACK_KEYS: Mapping[str, str] = {
    "unet_gguf": "diffusion_models",
    "model_gguf": "diffusion_models",
    "clip_gguf": "text_encoders",
    "vae_gguf": "vae",
    "ultralytics_bbox": "ultralytics/bbox",
    "ultralytics_segm": "ultralytics/segm",
}
"""Keys under which packs list directories that have a folder name already (comfyui-formats 2.3)."""

CHECKPOINT_SUFFIXES = frozenset(
    {".ckpt", ".pt", ".pt2", ".bin", ".pth", ".safetensors", ".pkl", ".sft"}
)
"""What ComfyUI lists in most folders (folder_paths.py, supported_pt_extensions)."""

MODEL_SUFFIXES = CHECKPOINT_SUFFIXES | {".gguf", ".onnx"}
"""What we count as a model file in any folder: packs add the last two."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


def folder_name(name: str) -> str:
    """Return the one name we use for a folder; ``unet``, ``unet_gguf``: ``diffusion_models``."""
    return LEGACY_FOLDERS.get(name) or PACK_KEYS.get(name, name)


def alike(name: str) -> str:
    """Return *name* as it is compared where letter case and composition do not count.

    An accented letter is one character or two: macOS writes NFD into names, most others NFC.
    """
    if name.isascii():
        return name.lower()
    composed = unicodedata.normalize("NFC", name).casefold()
    return unicodedata.normalize("NFC", composed)


def parts_of(name: str) -> tuple[str, ...]:
    """Return the names of every part of the model that *name* is a part of; else *name* alone.

    A model in parts is ``NAME-00001-of-00003.safetensors`` and so on, in one directory.
    """
    part = _PART.fullmatch(name)
    if part is None or int(part["total"]) > _MOST_PARTS:
        return (name,)
    total = int(part["total"])
    numbered = (f"{number:05}-of-{part['total']}" for number in range(1, total + 1))
    return tuple(f"{part['before']}{each}{part['suffix']}" for each in numbered)


_PART = re.compile(r"(?P<before>.*-)\d{5}-of-(?P<total>\d{5})(?P<suffix>\.\w+)")
_MOST_PARTS = 1000
"""No published model has as many."""


def sha256_or_none(text: object) -> str | None:
    """Return *text* as 64 lowercase hex digits, or ``None`` where it is no SHA-256."""
    if not isinstance(text, str):
        return None
    lowered = text.strip().lower().removeprefix("sha256:").removeprefix("0x")
    return lowered if _SHA256.fullmatch(lowered) else None


@dataclass(frozen=True, slots=True)
class ShortHash:
    """A few digits of a hash, as other programs write them beside a model's name."""

    kind: str
    """``AutoV1``, ``AutoV2`` (begins the SHA-256), ``AutoV3`` (after a safetensors header),
    ``SHA256``, ``BLAKE3`` or ``CRC32``, as Civitai calls them."""
    digits: str
    """Lowercase hex."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What says that a file has not changed since it was measured.

    Times are nanoseconds since the epoch, *size* is bytes.
    """

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What reading the whole file told."""

    size: int
    sha256: str

    @property
    def autov2(self) -> str:
        return self.sha256[:10]


@dataclass(frozen=True, slots=True)
class Digests:
    """What the same reading told besides; ``None`` where it was not asked for or there is none.

    All but *sample* are as other tools know them.
    """

    after_sha256: str | None = None
    """Of the bytes after a safetensors header: it outlives a change of the metadata."""
    autov1: str | None = None
    """Eight digits, of 64 KiB at 1 MiB; files of different bytes may share it."""
    blake3: str | None = None
    sample: str | None = None
    """Of the first and last 64 KiB: enough to know a file again that has another name."""

    @property
    def autov3(self) -> str | None:
        return None if self.after_sha256 is None else self.after_sha256[:12]


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of a whole file: what it told, and by what to know that it still holds."""

    stamp: Stamp
    """The same before and after."""
    measured: Measured
    at_ns: int
    """When it began, nanoseconds since the epoch."""
    digests: Digests = field(default_factory=Digests)
    links: int | None = None
    """How many names the file has on its file system."""
    racy: bool = False
    """It began so shortly after the last write that a later write may have the same stamp."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A reading of a whole file that came to nothing: what was there, and why."""

    stamp: Stamp
    trouble: Trouble


@dataclass(frozen=True, slots=True)
class Expected:
    """What somebody promised about a file. ``None`` means: no promise."""

    size: int | None = None
    sha256: str | None = None

    def broken_promise(self, measured: Measured) -> str | None:
        """Name the first promise *measured* breaks, or ``None`` if it keeps them all."""
        if self.size is not None and self.size != measured.size:
            return f"expected {self.size} bytes, got {measured.size}"
        if self.sha256 is not None and self.sha256 != measured.sha256:
            return f"expected SHA-256 {self.sha256}, got {measured.sha256}"
        return None


@dataclass(frozen=True, slots=True)
class Mark:
    """What the bytes of a part were fetched under: by it a later try knows whether to go on."""

    url: str
    """Canonical, of the source that sent them."""
    total: int | None = None
    """How long that source said that the file is."""
    validator: str | None = None
    """A strong ETag, or the date of the last change where that promises equal bytes."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file on disk that a loader could be pointed at."""

    path: Path
    """As ComfyUI would open it: below a root, links in between not resolved."""
    stamp: Stamp
    whole: bool = True
    """False while the file is still arriving: being written, or shorter than its header says."""
    sha256: str | None = None
    """``None`` until it was measured."""
    after_sha256: str | None = None
    """Of the bytes after a safetensors header, where that was measured, too."""
    trouble: Trouble | None = None
    """Why no loader can use it as it is."""
    written: bool = False
    """Somebody writes to it, or did a moment ago; told only of a file with a trouble."""

    @property
    def size(self) -> int:
        return self.stamp.size

    @property
    def damaged(self) -> bool:
        """Whether it is no model and becomes none by itself: a web page, a file cut short."""
        return not self.whole and self.trouble is not None and not self.written


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder name of ComfyUI: where it looks, in order, and for which suffixes."""

    name: str
    roots: tuple[Path, ...]
    suffixes: frozenset[str] = CHECKPOINT_SUFFIXES
    """Lowercase with the dot; an empty set means that every file counts."""
    write_root: Path | None = None
    """Where a new file goes; ``None`` where nothing may be written (no root is known)."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A name under which ComfyUI lists a file."""

    folder: str
    name: str
    """Relative to a root of the folder, with ``/``."""
    order: int
    """Of that root among the folder's: of one name, the file with the lowest is opened."""


@dataclass(frozen=True, slots=True)
class Folders:
    """ComfyUI's folder table for one installation."""

    comfyui_root: Path
    models_root: Path
    """``models`` below the base directory; folders nobody configured lie below it."""
    table: Mapping[str, Folder] = field(default_factory=dict)
    assumed: frozenset[Path] = frozenset()
    """Roots that a program added by itself, whether they are there or not (``output/loras``)."""
    code: frozenset[Path] = frozenset()
    """Directories that ComfyUI loads node packs from."""
    _prefixes: tuple[tuple[str, str, int], ...] = field(init=False, repr=False, compare=False)
    """Each root as text with a slash, its folder, and its place among the folder's roots."""
    _roots: tuple[Path, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        prefixes = tuple(
            (f"{root.as_posix().rstrip('/')}/", folder.name, order)
            for folder in self.table.values()
            for order, root in enumerate(folder.roots)
        )
        object.__setattr__(self, "_prefixes", prefixes)
        every = {self.models_root, *(root for each in self.table.values() for root in each.roots)}
        outermost = (root for root in every if every.isdisjoint(root.parents))
        object.__setattr__(self, "_roots", tuple(sorted(outermost)))

    def folder(self, name: str) -> Folder:
        """Return the folder *name*; one that no table knows is ``models/NAME``, as packs do it."""
        present = folder_name(name)
        known = self.table.get(present)
        if known is not None:
            return known
        root = self.models_root / PurePosixPath(present)
        return Folder(present, (root,), MODEL_SUFFIXES, root)

    def roots(self) -> tuple[Path, ...]:
        """Return every directory that holds models, none below another, without repeats."""
        return self._roots

    def named(self, path: Path) -> Iterator[tuple[str, str]]:
        """Yield each (folder, name) under which ComfyUI lists *path*, as `listed` does."""
        for row in self.listed(path):
            yield row.folder, row.name

    def listed(self, path: Path) -> Iterator[Listed]:
        """Yield each name under which ComfyUI lists *path*.

        One root may lie below another; then the file has two names in that folder. A file
        below ``models/`` that no folder of the table covers is listed under the first
        directory of its path, and under the first two where a pack is known to list those.
        """
        found = False
        text = path.as_posix()
        # Text, since comparing paths costs ten times as much and this runs for every file.
        for prefix, folder, order in self._prefixes:
            if text.startswith(prefix):
                found = True
                yield Listed(folder, text.removeprefix(prefix), order)
        if not found and self.models_root in path.parents:
            relative = path.relative_to(self.models_root)
            if len(relative.parts) > 1:
                name, rest = folder_name(relative.parts[0]), PurePosixPath(*relative.parts[1:])
                known = self.table.get(name)  # its roots are elsewhere; a pack may add this one
                yield Listed(name, rest.as_posix(), len(known.roots) if known else 0)
            two = "/".join(relative.parts[:2])
            if len(relative.parts) > 2 and two in PACK_KEYS.values():
                yield Listed(two, "/".join(relative.parts[2:]), 0)
