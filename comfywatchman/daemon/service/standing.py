"""How a service stands, whoever manages it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Standing:
    """What the service manager says."""

    unit: str
    file: Path
    installed: bool
    enabled: bool
    """Whether it starts by itself."""
    running: bool
    state: str
    """In the words of the manager."""
    pid: int | None = None
    status: str | None = None
    """What the daemon last said of itself."""
    restarts: int | None = None
    """How often it was started again by the manager."""
    result: str | None = None
    """How it last ended; ``success`` where nothing was wrong."""
    since: str | None = None
