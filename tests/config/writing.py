from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Write(Protocol):
    """Writes a settings file with these permissions, and says where."""

    def __call__(self, text: str, mode: int = 0o600) -> Path: ...
