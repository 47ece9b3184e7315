"""How much of a stranger's file we read."""

from __future__ import annotations

from dataclasses import dataclass

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes are bytes. Real workflows stay far below all of these."""

    max_bytes: int = 64 * _MIB
    """Of a JSON file, or of one text inside an image."""
    max_file_bytes: int = 1024 * _MIB
    """Of an image or video around it, of which only the texts are read."""
    max_text_bytes: int = 16 * _MIB
    """Of all texts of one image together, after unpacking."""
    max_depth: int = 200
    """Of nested lists and objects."""
    max_nodes: int = 50_000
    """After subgraphs were expanded."""
    max_mentions: int = 20_000
    """Places that name a model."""
