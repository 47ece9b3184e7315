"""What a server taught about loaders, kept for when there is none: one small file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import msgspec

from comfywatchman.disk.decoding import decoder_of
from comfywatchman.domain.errors import StateUnusable, Trouble

FILE = "learned-loaders.json"
MOST_LINES = 5_000
_LARGEST = 4 * 1024 * 1024
_ARROW = " -> "


@dataclass(frozen=True, slots=True)
class Learned:
    """Lines of the loader table, and who proved them last."""

    lines: tuple[str, ...] = ()
    server_version: str = ""
    learned_at: float = 0.0
    """Seconds since the epoch."""

    def with_lines(self, lines: Iterable[str], server_version: str, now: float) -> Learned:
        """Return what is known after a look: new lines go before older ones of their node type.

        A line whose list is empty today is as true as it was.
        """
        new = list(lines)
        types = {node_type(line) for line in new}
        kept = [line for line in self.lines if node_type(line) not in types]
        both = tuple(dict.fromkeys((*new, *kept)))[:MOST_LINES]
        return replace(self, lines=both, server_version=server_version, learned_at=now)


def node_type(line: str) -> str:
    return line.partition(_ARROW)[0]


class _Kept(msgspec.Struct):
    version: Literal[1]
    lines: list[str]
    server_version: str
    learned_at: float


def read_learned(directory: Path) -> tuple[Learned, Trouble | None]:
    """Return what was learned; a file that cannot be used is told, and counts as none."""
    file = directory / FILE
    try:
        if file.stat().st_size > _LARGEST:
            raise ValueError("too large")  # noqa: TRY301 - the same words for all that it may be
        kept = decoder_of(_Kept).decode(file.read_bytes())
    except FileNotFoundError:
        return Learned(), None
    except (OSError, ValueError) as error:
        return Learned(), _unusable(file, str(error))
    return Learned(tuple(kept.lines[:MOST_LINES]), kept.server_version, kept.learned_at), None


def keep_learned(directory: Path, learned: Learned) -> None:
    """Write the file in one step.

    Raises:
        OSError: it cannot be written; the one before is as it was.
    """
    kept = _Kept(1, list(learned.lines), learned.server_version, learned.learned_at)
    staged = directory / f".{FILE}.new"
    with staged.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(kept)))
        file.flush()
        os.fsync(file.fileno())
    staged.replace(directory / FILE)


def _unusable(file: Path, why: str) -> Trouble:
    return StateUnusable(
        f"What ComfyUI taught about loaders cannot be read from {file}: {why[:200]}.",
        remedy="Nothing to do: it is learned again when the server runs.",
    ).trouble()
