"""Whether there is any file at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def any_file(directory: Path, wanted: Callable[[str], bool]) -> bool:
    """Say whether there is any file below *directory* that is *wanted* by its name.

    Links are not followed, and what cannot be read holds none.
    """
    waiting = [os.fsencode(directory)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif wanted(os.fsdecode(entry.name)):
                        return True
        except OSError:
            continue
    return False
