"""In which folders of a root a walk met any file, and which of them hold none any more."""

from __future__ import annotations

from collections.abc import Collection, Container
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from comfywatchman.disk.walk import Listing


@dataclass(slots=True)
class Inhabited:
    """The root of a walk, and the folders directly in it. Owned by the walk."""

    root: bytes = b""
    """Empty where nobody wants to know."""
    _listed: set[bytes] = field(default_factory=set)
    """Those that the walk came to."""
    _with_files: set[bytes] = field(default_factory=set)

    def meet(self, listing: Listing) -> None:
        """Take in what a directory holds, before any file is taken out of *listing*."""
        path, root = listing.path, self.root
        if not root:
            return
        if path == root or path.rpartition(b"/")[0] == root:
            self._listed.add(path)
        if listing.same or listing.files or listing.unclear or listing.trouble is not None:
            self._with_files.update(self.around(path))

    def around(self, directory: bytes) -> tuple[bytes, ...]:
        """Return the root and the folder in it that hold *directory*, or are it."""
        root = self.root
        if not root or not directory.startswith(root + b"/"):
            return (root,) if root and directory == root else ()
        return root, root + b"/" + directory[len(root) + 1 :].split(b"/", 1)[0]

    def emptied(self, missing: Collection[bytes], left: Container[bytes]) -> dict[bytes, bytes]:
        """Return, for directories in which files are *missing*, what was emptied around them.

        It is the folder, or the root where that is true of several of its folders, or where the
        folder itself is gone. It is none that a file *left* for another place: there somebody was
        tidying up.
        """
        folders = {directory: self.around(directory)[-1:] for directory in missing}
        whole = self._is_empty(self.root, left) and len(set(folders.values())) > 1
        found: dict[bytes, bytes] = {}
        for directory, (folder,) in ((d, f) for d, f in folders.items() if f):
            if not whole and self._is_empty(folder, left):
                found[directory] = folder
            elif self._is_empty(self.root, left) and (whole or folder not in self._listed):
                found[directory] = self.root
        return found

    def _is_empty(self, folder: bytes, left: Container[bytes]) -> bool:
        return folder in self._listed and folder not in self._with_files and folder not in left
