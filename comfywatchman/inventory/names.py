"""Which names are those of models, and which those of what is not whole yet."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from comfywatchman.domain.files import MODEL_SUFFIXES, Folders

_TEMPORARY_SUFFIXES = frozenset(
    {
        ".!qb",  # qBittorrent
        ".!sync",  # Resilio Sync
        ".!ut",  # uTorrent
        ".aria2",  # aria2's control file, beside the file that it fetches
        ".aria2__temp",  # the same while it is written
        ".bc!",  # BitComet
        ".crdownload",  # Chrome and its kin
        ".download",  # Safari
        ".downloading",  # Civitai Helper
        ".fdmdownload",  # Free Download Manager
        ".filepart",  # WinSCP
        ".incomplete",  # huggingface_hub
        ".opdownload",  # Opera
        ".part",  # Firefox, yt-dlp, ours
        ".partial",  # Edge
        ".st",  # axel's control file
        ".temp",
        ".tmp",  # Desktop's "Unconfirmed NAME.tmp", and everybody's
        ".unconfirmed",
        ".xltd",  # Thunder
        ".ytdl",  # yt-dlp's control file
    }
)
_UNCONFIRMED = re.compile(r"unconfirmed \d+\b", re.IGNORECASE)
"""How Chrome calls a download that nobody has confirmed yet."""

_FORKS = "._"
"""How macOS begins the name of what it keeps beside a file on a disk that has no room for it."""

_LORAS = "loras"
"""The folder whose files others know by their hash without the header, since that is edited."""
_WITH_HEADER = (".safetensors", ".sft")

COMPANIONS = (".aria2", ".part", ".crdownload", ".fdmdownload", ".downloading", ".st")
"""Beside a file of the final name these say that it is still being fetched."""


def fetched_beside(name: str) -> str | None:
    """Return the final name of the file that a companion of *name* says is being fetched."""
    return next((name.removesuffix(end) for end in COMPANIONS if name.endswith(end)), None)


def is_model(name: str, suffixes: Collection[str]) -> bool:
    """Say whether a file called *name*, without directories, is listed as a model.

    ComfyUI lists hidden files like all others (folder_paths.py, recursive_search).

    Args:
        name: compared without regard to case, as ComfyUI compares suffixes.
        suffixes: lowercase with the dot; none at all means that every file counts.
    """
    if suffixes:
        suffix = _suffix(name)
        return suffix in suffixes and not name.startswith(_FORKS if suffix else ".")
    return not is_temporary(name)


def is_temporary(name: str) -> bool:
    """Say whether *name* is how browsers and download tools call what is not whole yet.

    Hidden files are among them: rsync and we write to a hidden name beside the final one.
    """
    if name.startswith(".") or _UNCONFIRMED.match(name):
        return True
    return _suffix(name) in _TEMPORARY_SUFFIXES


def _suffix(name: str) -> str:
    stem, dot, end = name.rpartition(".")
    return f".{end}".lower() if dot and stem.strip(".") else ""


def lists(folders: Folders, folder: str, name: str) -> bool:
    """Say whether ComfyUI would list *name* under *folder*, or a pack that adds to it would."""
    if folder == "configs":
        return False
    suffixes = folders.folder(folder).suffixes
    return not suffixes or PurePosixPath(name).suffix.lower() in suffixes | MODEL_SUFFIXES


def is_lora(folders: Folders, path: Path) -> bool:
    """Say whether *path* is a LoRA with a header: others know it by the hash of what follows."""
    named = path.suffix.lower() in _WITH_HEADER
    return named and any(folder == _LORAS for folder, _ in folders.named(path))
