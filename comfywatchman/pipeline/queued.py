"""What the line of transfers before one will still write: room that is theirs already."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from comfywatchman.disk.files import look
from comfywatchman.domain.errors import WatchmanError
from comfywatchman.domain.files import Folders
from comfywatchman.domain.jobs import FetchModel
from comfywatchman.pipeline.leftovers import part_of
from comfywatchman.state import line

if TYPE_CHECKING:
    from comfywatchman.state.jobs import JobRow
    from comfywatchman.state.keeper import Reader


@dataclass(frozen=True, slots=True)
class Queued:
    """Says how much is to be kept for others; asked by every worker."""

    folders: Folders
    reader: Reader

    def before(self, row: JobRow, device: int, room: int) -> int:
        """Return the bytes that transfers before *row* still bring to the volume *device*.

        What could not have its place among *room* bytes anyhow keeps nothing back: one file that
        is too large would hold up all that are not.
        """
        kept = 0
        for other in self.reader.read(lambda c: line.before(c, row.id)):
            job = other.job
            if isinstance(job, FetchModel):
                total = None if other.mark is None else other.mark.total
                rest = self._rest(job, device, total)
                kept += rest if kept + rest <= room else 0
        return kept

    def _rest(self, job: FetchModel, device: int, total: int | None) -> int:
        """Return what is to come of it; *total* is what its source said when it was asked last."""
        first = job.sources[0]
        size = first.size or total or first.size_about
        root = self.folders.folder(job.folder).write_root
        if size is None or root is None:
            return 0
        try:
            if os.stat(root).st_dev != device:  # noqa: PTH116 - one call, and no Path made of it
                return 0
            part = look(part_of(job, self.folders))
        except (OSError, WatchmanError):
            return 0
        return max(0, size - (0 if part is None else part.size))
