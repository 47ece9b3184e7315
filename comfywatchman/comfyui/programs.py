"""Where programs that install ComfyUI keep what they know, and how it is read.

Their files are theirs: what is missing, too large or not as expected says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from comfywatchman.disk.decoding import decoder_of

_T = TypeVar("_T")

_LARGEST = 4 * 1024 * 1024
"""Bytes; such files have some kilobytes."""


def application_directories(
    name: str, environ: Mapping[str, str], home: Path, *, linux: str | None = None
) -> Iterator[Path]:
    """Yield where a program called *name* keeps its settings: Windows, macOS, Linux.

    All are looked at on every system: a home may be shared, and the others are not there.
    """
    if environ.get("APPDATA"):
        yield Path(environ["APPDATA"], name)
    yield home / "Library" / "Application Support" / name
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config", linux or name)


def read_json(file: Path, kind: type[_T]) -> _T | None:
    """Return what *file* holds, or ``None`` where it is not there or holds something else."""
    try:
        if file.stat().st_size > _LARGEST:
            return None
        return decoder_of(kind).decode(file.read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def subdirectories(directory: Path) -> list[Path]:
    """Return the directories in *directory*, sorted; none where it is none itself."""
    try:
        return sorted(entry for entry in directory.iterdir() if entry.is_dir())
    except OSError:
        return []


class _Library(Struct, rename="pascal"):
    """``library.json`` of Stability Matrix."""

    library_path: str | None = None


def stability_matrix_libraries(environ: Mapping[str, str], home: Path) -> Iterator[Path]:
    """Yield where Stability Matrix keeps its packages and models.

    It notes the place in ``library.json`` (SettingsManager.cs); the portable form has it in
    ``Data`` beside the program.
    """
    for directory in application_directories("StabilityMatrix", environ, home):
        told = read_json(directory / "library.json", _Library)
        if told is not None and told.library_path:
            yield Path(told.library_path)
        yield directory
    yield from (home / "StabilityMatrix", home / "StabilityMatrix" / "Data")


class _Pinokio(Struct):
    """``config.json`` of Pinokio."""

    home: str | None = None


def pinokio_homes(environ: Mapping[str, str], home: Path) -> Iterator[Path]:
    """Yield where Pinokio keeps its apps."""
    for directory in application_directories("Pinokio", environ, home):
        told = read_json(directory / "config.json", _Pinokio)
        if told is not None and told.home:
            yield Path(told.home)
    if environ.get("PINOKIO_HOME"):
        yield Path(environ["PINOKIO_HOME"])
    yield home / "pinokio"
