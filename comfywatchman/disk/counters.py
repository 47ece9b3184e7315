"""What a disk has read, and what a thread of ours had it read.

Sources: the kernel's Documentation/block/stat; proc(5), ``io``.
"""

from __future__ import annotations

from pathlib import Path

_SECTOR = 512
"""The unit of that file, whatever the disk's own is."""


def read_from(disk: str, sys: Path = Path("/sys")) -> int | None:
    """Return how many bytes were read from *disk*, by its name; ``None`` where nobody counts."""
    try:
        fields = (sys / "block" / disk / "stat").read_text().split()
        return int(fields[2]) * _SECTOR
    except (OSError, ValueError, IndexError):
        return None


def read_by(thread: int, proc: Path = Path("/proc")) -> int | None:
    """Return how many bytes the thread of that number had read from disks.

    They are counted when they are asked for, read-ahead included.
    """
    try:
        lines = (proc / f"self/task/{thread}/io").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes:"))
    except (OSError, ValueError, StopIteration):
        return None
