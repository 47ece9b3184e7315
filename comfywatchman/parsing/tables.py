"""Reads the loader table and the list of ComfyUI's own node types that come with the package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from comfywatchman.analyze.loaders import Tables, read_tables
from comfywatchman.domain.errors import SettingsInvalid

_DATA = Path(__file__).parent.parent / "data"


def shipped_tables(extra_loaders: Sequence[str] = ()) -> Tables:
    """Return the tables; *extra_loaders* are lines of a user, in the loader table's grammar.

    Raises:
        SettingsInvalid: one of the extra lines is no line of the table.
    """
    loaders, core = shipped_texts()
    return read_tables(loaders, core, extra_loaders)


def shipped_texts() -> tuple[str, str]:
    """Return the loader table and the list of node types as they are written."""
    loaders = (_DATA / "loaders.txt").read_text(encoding="utf-8")
    return loaders, (_DATA / "core_nodes.txt").read_text(encoding="utf-8")


def still_needed(learned: Sequence[str], extra_loaders: Sequence[str]) -> list[str]:
    """Return the *learned* lines that are lines, for node types which no other table knows.

    Raises:
        SettingsInvalid: one of *extra_loaders*, the user's own, is no line of the table.
    """
    tables = shipped_tables(extra_loaders)
    return [line for line in learned if _is_needed(line, tables)]


def _is_needed(line: str, tables: Tables) -> bool:
    try:
        types = list(read_tables("", "", [line]).rules)
    except SettingsInvalid:
        return False
    return len(types) == 1 and tables.rules_of(types[0]) is None
