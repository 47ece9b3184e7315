"""Reads ``extra_model_paths.yaml`` as ComfyUI does (``utils/extra_config.py``).

Where ComfyUI would end with a traceback, the line is told as a trouble and the rest is used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.domain.errors import SettingsInvalid, Trouble

if TYPE_CHECKING:
    import yaml

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
        sections = _read(file)
    except SettingsInvalid as error:
        return (), (error.trouble(),)
    paths: list[ExtraPath] = []
    troubles: list[Trouble] = []
    for found in _paths(sections):
        if isinstance(found, ExtraPath):
            paths.append(found)
        else:
            troubles.append(found)
    return tuple(paths), tuple(troubles)


@dataclass(frozen=True, slots=True)
class _Value:
    """Where a value stands in the file, and how."""

    line: int
    folded: bool
    """Several lines are joined to one, as YAML does it unless ``|`` stands before them."""


@dataclass(frozen=True, slots=True)
class _Sections:
    file: Path
    table: Mapping[object, object] = field(default_factory=dict)
    places: Mapping[tuple[object, ...], _Value] = field(default_factory=dict)
    """By section, and by section and key."""

    def trouble(self, what: str, *place: object, remedy: str = _REMEDY) -> Trouble:
        found = self.places.get(place)
        line = "" if found is None else f", line {found.line}"
        return SettingsInvalid(f"{self.file}{line}: {what}.", remedy=remedy).trouble()

    def is_folded(self, *place: object) -> bool:
        found = self.places.get(place)
        return found is not None and found.folded


def _read(file: Path) -> _Sections:
    import yaml  # 2 MB that an installation without such a file does not need

    try:
        if file.stat().st_size > _LARGEST:
            raise SettingsInvalid(f"{file} is larger than {_LARGEST} bytes.", remedy=_REMEDY)
        loader = yaml.SafeLoader(file.read_text(encoding="utf-8-sig"))
        node = loader.get_single_node()
        if node is None:
            return _Sections(file)
        places = dict(_places(node))
        read = loader.construct_document(node)
    except OSError as error:
        raise SettingsInvalid(
            f"{file} cannot be read: {error.strerror or error}.",
            remedy="Correct its name or permissions, or take it out of the settings.",
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise SettingsInvalid(
            f"{file}{_line_of(error)}: this is no valid YAML: {_words_of(error)}.",
            remedy=_NOTHING_USED,
        ) from error
    if not isinstance(read, dict):
        raise SettingsInvalid(f"{file} holds no sections at its top level.", remedy=_NOTHING_USED)
    return _Sections(file, read, places)


_NOTHING_USED = (
    "Correct the file; none of it is used until then, and ComfyUI itself does not start with it."
)


def _line_of(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return "" if mark is None else f", line {mark.line + 1}"


def _words_of(error: Exception) -> str:
    told = getattr(error, "problem", None) or str(error)
    return " ".join(str(told).split()) or "nested too deeply"


def _places(root: yaml.Node) -> Iterator[tuple[tuple[object, ...], _Value]]:
    """Yield where each section and each of its keys stands, as they are written."""
    for name, section in _pairs(root):
        yield (name.value,), _placed(name, section)
        for key, value in _pairs(section):
            yield (name.value, key.value), _placed(key, value)


def _pairs(node: yaml.Node) -> list[tuple[yaml.Node, yaml.Node]]:
    """Return keys and values of a mapping; a key that is none of text has another `value`."""
    pairs = node.value if isinstance(node.value, list) else []
    return [pair for pair in pairs if isinstance(pair, tuple) and isinstance(pair[0].value, str)]


def _placed(key: yaml.Node, value: yaml.Node) -> _Value:
    style = getattr(value, "style", None)
    long = value.end_mark.line > value.start_mark.line
    folded = isinstance(value.value, str) and (style == ">" or (style != "|" and long))
    return _Value(key.start_mark.line + 1, folded)


def _paths(sections: _Sections) -> Iterator[ExtraPath | Trouble]:
    for name, section in sections.table.items():
        if section is None:
            continue
        if not isinstance(section, dict):
            yield sections.trouble(f"section {name!r} holds no keys", f"{name}")
            continue
        base = section.get("base_path", "")
        if not isinstance(base, str) or "\0" in base:
            what = f"base_path of section {name!r} is no text"
            yield sections.trouble(what, f"{name}", "base_path")
            continue
        yield from _section(sections, f"{name}", section, _base(sections.file, base))


def _section(
    sections: _Sections, name: str, section: dict[object, object], base: str
) -> Iterator[ExtraPath | Trouble]:
    # Any true value counts, a quoted "false" too: that is how ComfyUI reads it.
    first = bool(section.get("is_default", False))
    for key, value in section.items():
        if key in {"base_path", "is_default"}:
            continue
        if not isinstance(key, str) or not isinstance(value, str) or "\0" in value:
            what = f"{key!r} of section {name!r} is no text (one path a line)"
            yield sections.trouble(what, name, key)
            continue
        for line in filter(None, value.split("\n")):
            path = Path(os.path.normpath(os.path.join(base, line)))  # noqa: PTH118 -- as ComfyUI joins
            yield ExtraPath(key, path, first)
            if " " in line and sections.is_folded(name, key) and not path.exists():
                what = f"the lines of {key!r} are joined to one path, {line!r}, which is not there"
                remedy = f"Write `{key}: |`: then each line is a path."
                yield sections.trouble(what, name, key, remedy=remedy)


def _base(file: Path, written: str) -> str:
    """Return the directory that the lines of a section are relative to, absolute."""
    directory = os.path.abspath(file.parent)  # noqa: PTH100 -- Path.absolute keeps ".."
    expanded = os.path.expandvars(os.path.expanduser(written))  # noqa: PTH111 -- as ComfyUI expands
    return os.path.abspath(os.path.join(directory, expanded))  # noqa: PTH100, PTH118 -- as above
