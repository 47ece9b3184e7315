"""Opening a part by its path, where a test's directory leads nobody away."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from comfywatchman.disk.part import Part, make_directories, open_part


@contextmanager
def opened(path: Path) -> Iterator[Part]:
    """Open the part *path*; its directory is made."""
    make_directories(path.parent)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with open_part(directory, path) as part:
            yield part
    finally:
        os.close(directory)
