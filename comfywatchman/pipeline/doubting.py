"""A transfer is not brought to its end while it is open which file is meant."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from comfywatchman.domain.errors import Interrupted, SourceUnavailable
from comfywatchman.domain.jobs import FetchModel
from comfywatchman.state import doubts

if TYPE_CHECKING:
    from comfywatchman.state.jobs import JobRow
    from comfywatchman.state.keeper import Reader

LONGEST_SECONDS = 20.0
"""How long a transfer worker waits for a search; a hub that does not answer takes longer."""
_LOOK_EVERY = 0.1
_IN_VAIN = frozenset({"question", "replaced"})


def why_in_vain(reader: Reader, row: JobRow) -> doubts.Doubt | None:
    """Say why what is being fetched will not be needed, if that is known by now."""
    doubt = _about(reader, row)
    return doubt if doubt in _IN_VAIN else None


def wait_for_certainty(reader: Reader, row: JobRow, stop: threading.Event) -> None:
    """Return once nothing speaks against giving the file its name.

    Another workflow may have named another source of the same name while the bytes came: which
    is meant, its search decides or a person does, and not who was here first.

    Raises:
        Interrupted: another file is meant, or a person has to say which.
        SourceUnavailable: the search takes its time; what came is kept.
    """
    until = time.monotonic() + LONGEST_SECONDS
    while (doubt := _about(reader, row)) is not None:
        if doubt in _IN_VAIN or stop.wait(_LOOK_EVERY):
            raise Interrupted(
                f"{row.key} may not be the file that is meant.", remedy="Nothing to do."
            )
        if time.monotonic() > until:
            raise SourceUnavailable(
                f"{row.key} is here, and a workflow names another source for it, which could not "
                "be asked yet.",
                remedy="It gets its name when that is known; nothing to do.",
            )


def _about(reader: Reader, row: JobRow) -> doubts.Doubt | None:
    job = row.job
    assert isinstance(job, FetchModel)  # noqa: S101 - only transfers are asked about
    return reader.read(lambda c: doubts.about(c, row.id, job))
