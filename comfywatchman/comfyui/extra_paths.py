"""Reads ``extra_model_paths.yaml`` as ComfyUI does (``utils/extra_config.py``).

Where ComfyUI would end with a traceback, the line is told as a trouble and the rest is used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from comfywatchman.domain.errors import SettingsInvalid, Trouble

_LARGEST = 1024 * 1024
"""Bytes; a file of this kind has a few dozen lines."""

_REMEDY = "Correct the file; every other line of it is used."


@dataclass(frozen=True, slots=True)
class ExtraPath:
    """One line of the file: a directory for a folder."""

    key: str
    """As written: legacy names and names no table knows included."""
    path: Path
    """Absolute and normalized, links not resolved."""
    first: bool
    """Whether the section says ``is_default``: the path goes before those known so far."""


def read_extra_paths(file: Path) -> tuple[tuple[ExtraPath, ...], tuple[Trouble, ...]]:
    """Return the directories that *file* adds, in reading order, and what could not be used.

    A file that does not exist is a trouble; ask first where it may be absent.
    """
    try:
        sections = _sections(file)
    except SettingsInvalid as error:
        return (), (error.trouble(),)
    paths: list[ExtraPath] = []
    troubles: list[Trouble] = []
    for found in _lines(file, sections):
        if isinstance(found, ExtraPath):
            paths.append(found)
        else:
            troubles.append(found)
    return tuple(paths), tuple(troubles)


def _sections(file: Path) -> dict[object, object]:
    import yaml  # 2 MB that an installation without such a file does not need

    try:
        if file.stat().st_size > _LARGEST:
            raise SettingsInvalid(f"{file} is larger than {_LARGEST} bytes.", remedy=_REMEDY)
        read = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SettingsInvalid(
            f"{file} cannot be read: {error.strerror or error}.",
            remedy="Correct its name or permissions, or take it out of the settings.",
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise SettingsInvalid(
            f"{file} is no valid YAML: {' '.join(str(error).split()) or 'nested too deeply'}.",
            remedy="Correct the file; none of it is used until then.",
        ) from error
    if read is None:
        return {}
    if not isinstance(read, dict):
        raise SettingsInvalid(
            f"{file} holds no sections at its top level.",
            remedy="Correct the file; none of it is used until then.",
        )
    return read


def _lines(file: Path, sections: dict[object, object]) -> Iterator[ExtraPath | Trouble]:
    for name, section in sections.items():
        if section is None:
            continue
        if not isinstance(section, dict):
            yield _trouble(file, f"section {name!r} holds no keys")
            continue
        base = section.get("base_path", "")
        if not isinstance(base, str) or "\0" in base:
            yield _trouble(file, f"base_path of section {name!r} is no text")
            continue
        yield from _section(file, f"{name}", section, _base(file, base))


def _section(
    file: Path, name: str, section: dict[object, object], base: str
) -> Iterator[ExtraPath | Trouble]:
    # Any true value counts, a quoted "false" too: that is how ComfyUI reads it.
    first = bool(section.get("is_default", False))
    for key, value in section.items():
        if key in {"base_path", "is_default"}:
            continue
        if not isinstance(key, str) or not isinstance(value, str) or "\0" in value:
            yield _trouble(file, f"{key!r} of section {name!r} is no text (one path a line)")
            continue
        for line in value.split("\n"):
            if line:
                yield ExtraPath(key, Path(os.path.normpath(os.path.join(base, line))), first)  # noqa: PTH118 -- as ComfyUI joins


def _base(file: Path, written: str) -> str:
    """Return the directory that the lines of a section are relative to, absolute."""
    directory = os.path.abspath(file.parent)  # noqa: PTH100 -- Path.absolute keeps ".."
    expanded = os.path.expandvars(os.path.expanduser(written))  # noqa: PTH111 -- as ComfyUI expands
    return os.path.abspath(os.path.join(directory, expanded))  # noqa: PTH100, PTH118 -- as above


def _trouble(file: Path, what: str) -> Trouble:
    return SettingsInvalid(f"{file}: {what}.", remedy=_REMEDY).trouble()
