"""Reads the loader table and the list of ComfyUI's own node types that come with the package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from comfywatchman.analyze.loaders import Tables, read_tables

_DATA = Path(__file__).parent.parent / "data"


def shipped_tables(extra_loaders: Sequence[str] = ()) -> Tables:
    """Return the tables; *extra_loaders* are lines of a user, in the loader table's grammar.

    Raises:
        SettingsInvalid: one of the extra lines is no line of the table.
    """
    loaders = (_DATA / "loaders.txt").read_text(encoding="utf-8")
    core = (_DATA / "core_nodes.txt").read_text(encoding="utf-8")
    return read_tables(loaders, core, extra_loaders)
