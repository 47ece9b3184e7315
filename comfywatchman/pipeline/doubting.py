"""A transfer is not brought to its end while it is open which file is meant."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from comfywatchman.domain.errors import Interrupted, SourceUnavailable, Trouble
from comfywatchman.domain.jobs import FetchModel
from comfywatchman.state import doubts

if TYPE_CHECKING:
    from comfywatchman.state.jobs import JobRow
    from comfywatchman.state.keeper import Reader

LONGEST_SECONDS = 3.0
"""How long a transfer worker waits for a search: others want to be fetched meanwhile."""
AGAIN_SECONDS = 6.0
"""When it is looked again whether a search that took longer has come to its end."""
_LOOK_EVERY = 0.1
_IN_VAIN = frozenset({"question", "replaced"})


class Undecided(Exception):
    """It is open which file is meant; what came is kept. No source failed."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.cause)
        self.trouble = trouble


@dataclass(frozen=True, slots=True)
class Certainty:
    """How sure a transfer has to be before its file gets its name."""

    since: float = 0.0
    """Searches that were asked for before (Unix seconds) are not waited for."""
    within: float = LONGEST_SECONDS
    """Seconds that are waited for one that goes on."""

    def at_once(self) -> Certainty:
        """Return the same for who has waited before: the worker is for others."""
        return replace(self, within=0.0)


def why_in_vain(reader: Reader, row: JobRow) -> doubts.Doubt | None:
    """Say why what is being fetched will not be needed, if that is known by now."""
    doubt = _about(reader, row, 0.0)
    return doubt if doubt in _IN_VAIN else None


def wait_for_certainty(reader: Reader, row: JobRow, stop: threading.Event, how: Certainty) -> None:
    """Return once nothing speaks against giving the file its name.

    Another workflow may have named another source of the same name while the bytes came: which
    is meant, its search decides or a person does, and not who was here first.

    Raises:
        Interrupted: another file is meant, or a person has to say which.
        Undecided: the search takes its time.
    """
    until = time.monotonic() + how.within
    while (doubt := _about(reader, row, how.since)) is not None:
        if doubt not in _IN_VAIN and time.monotonic() >= until:
            raise Undecided(
                SourceUnavailable(
                    f"It is open which file {row.key} is: a workflow has said more of it since, "
                    "and not every place could be asked yet.",
                    remedy="It goes on when that is known; nothing to do.",
                ).trouble()
            )
        if doubt in _IN_VAIN or stop.wait(_LOOK_EVERY):
            raise Interrupted(
                f"{row.key} may not be the file that is meant.", remedy="Nothing to do."
            )


def _about(reader: Reader, row: JobRow, since: float) -> doubts.Doubt | None:
    job = row.job
    assert isinstance(job, FetchModel)  # noqa: S101 - only transfers are asked about
    return reader.read(lambda c: doubts.about(c, row.id, job, since=since))
