"""Reads the settings file."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from comfywatchman.config.keys import Key, nearest

_LARGEST = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Document:
    """What the file says, and what is wrong with the file itself."""

    tables: Mapping[str, object] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    everybody_reads: bool = False
    """Whether the permissions let everybody read it, so that no secret may stand in it."""


def read_document(file: Path) -> Document:
    """Read *file*, which must exist."""
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode if os.name == "posix" else 0
            content = opened.read(_LARGEST + 1)
    except OSError as error:
        return Document(problems=(f"{file} cannot be read: {error.strerror}",))
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        writable = (
            f"{file} may be written by others (mode {stat.S_IMODE(mode):o}): chmod go-w {file}"
        )
        return Document(problems=(writable,))
    if len(content) > _LARGEST:
        return Document(problems=(f"{file} is larger than {_LARGEST} bytes",))
    return _parsed(file, content, everybody_reads=bool(mode & stat.S_IROTH))


def _parsed(file: Path, content: bytes, *, everybody_reads: bool) -> Document:
    try:
        return Document(tomllib.loads(content.decode("utf-8-sig")), (), everybody_reads)
    except tomllib.TOMLDecodeError as error:
        wrong = str(error)
    except UnicodeDecodeError as error:
        wrong = f"no UTF-8 (at line {content[: error.start].count(10) + 1})"
    except RecursionError:
        wrong = "nested too deeply"
    return Document(problems=(f"{file} is no valid TOML: {wrong}",))


def flat(
    tables: Mapping[str, object], known: Mapping[str, Key], sections: frozenset[str]
) -> Iterator[tuple[str, object] | str]:
    """Yield (key name, value) for each key that is known, and a sentence for each that is not."""
    yield from _flat(tables, "", known, sections)


def _flat(
    table: Mapping[str, object], prefix: str, known: Mapping[str, Key], sections: frozenset[str]
) -> Iterator[tuple[str, object] | str]:
    for last, value in table.items():
        name = prefix + last
        if name in known:
            yield name, value
        elif name not in sections:
            other = nearest(name, [*known, *sorted(sections)])
            yield f"{name}: unknown key, the nearest is {other}"
        elif isinstance(value, dict):
            yield from _flat(value, f"{name}.", known, sections)
        else:
            yield f"{name}: expected a table, [{name}]"
