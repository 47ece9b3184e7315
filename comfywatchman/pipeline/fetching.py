"""The step from a chosen source to a verified file under its final name."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from comfywatchman.disk.files import look
from comfywatchman.disk.part import remove_part
from comfywatchman.domain.errors import (
    BeingFetched,
    DownloadOff,
    Interrupted,
    NameTaken,
    RootOffline,
    SourceChanged,
    Trouble,
    UnsafeFile,
    VerificationFailed,
    WatchmanError,
)
from comfywatchman.domain.jobs import FetchModel
from comfywatchman.domain.messages import (
    DownloadFailed,
    DownloadPaused,
    DownloadRetrying,
    Event,
    ReferenceAmbiguous,
)
from comfywatchman.pipeline.bringing import Bringing, Means
from comfywatchman.pipeline.desk import Outcome
from comfywatchman.pipeline.doubting import AGAIN_SECONDS as UNDECIDED_SECONDS
from comfywatchman.pipeline.doubting import Undecided, why_in_vain
from comfywatchman.pipeline.halting import Halt, Halts, Why
from comfywatchman.pipeline.leftovers import part_of
from comfywatchman.pipeline.patience import HERE, Patience
from comfywatchman.pipeline.reach import Reach
from comfywatchman.place import plan
from comfywatchman.state import jobs, models

if TYPE_CHECKING:
    from comfywatchman.state.jobs import JobRow

AGAIN_SECONDS = 1.0
"""After other bytes than promised: once more, from the start."""
ELSEWHERE_SECONDS = 2.0
"""How often it is looked whether another process has finished with the same file."""
_TURN_SECONDS = 0.05
_SUBSTANCE = 1 << 20
"""Bytes that a try must bring to count as progress: a server that cuts after each kilobyte would
be asked for ever. Of a small file a sixteenth is enough."""


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches, verifies and places; one for each fetch worker."""

    means: Means
    patience: Patience
    stop: threading.Event
    """Everything stops."""
    allowed: bool = True
    """False with ``--no-download`` and ``download.auto = "off"``."""
    reach: Reach = field(default_factory=Reach)
    halts: Halts = field(default_factory=Halts)
    in_the_way: Callable[[JobRow], Why | None] = lambda _row: None
    """Says why a transfer is to make place for others now, if it is."""
    on_request: bool = True
    """Whether a person's own word is enough all the same: not with ``--no-download``."""

    def step(self, row: JobRow) -> Outcome:
        """Carry out a `FetchModel` job; doing it twice does no harm."""
        job = row.job
        assert isinstance(job, FetchModel)  # noqa: S101 - the table's kind says so
        reader = self.means.reader
        halt = Halt(self.stop, lambda: why_in_vain(reader, row) or self.in_the_way(row))
        with self.halts.over(row.id, halt):
            return self._step(job, row, halt)

    def _step(self, job: FetchModel, row: JobRow, halt: Halt) -> Outcome:
        offline = self._offline(job)
        if offline is not None:
            return self._failed(job, row, offline, progressed=False)
        before = self._gathered(job)
        try:
            if not self.allowed and not (self.on_request and row.priority >= jobs.NOW):
                raise DownloadOff(
                    f"{job.folder}/{job.name} is not fetched: downloads are switched off.",
                    remedy="Start without --no-download, or run `comfywatchman fix`.",
                )
            events = Bringing(self.means, row, job, halt).bring()
        except Interrupted:
            why = halt.why or why_in_vain(self.means.reader, row)
            if why is not None:
                paused = DownloadPaused(job.folder, job.name, why, self._gathered(job))
                self.means.tell(paused)
            return Outcome(interrupted=True)
        except Undecided as error:
            # Thousands that wait for searches look at them in turns.
            again = max(UNDECIDED_SECONDS, self.means.reader.read(jobs.open_jobs) * _TURN_SECONDS)
            told = self._retrying(job, row, error.trouble, again)
            return Outcome(told, trouble=error.trouble, retry_in=again)
        except WatchmanError as error:
            now = self._gathered(job)
            if now == 0 and not error.retryable:
                self._forget_part(job)
            return self._failed(job, row, error, progressed=_is_progress(job, now - before))
        return Outcome(tuple(events))

    def _offline(self, job: FetchModel) -> RootOffline | None:
        """Say that the drive of the folder is not there: nothing is put where it was mounted.

        A directory that never held anything is made, though.
        """
        root = self.means.folders.folder(job.folder).write_root
        place = None if root is None else self.reach.offline_place(root / job.name)
        why = None if place is None else self.reach.offline.get(place)
        if place is None or why is None:
            return None
        held = self.means.reader.read(lambda c: models.any_row(c, place))
        return RootOffline(why.cause, remedy=why.remedy) if held else None

    def _gathered(self, job: FetchModel) -> int:
        """Return how many bytes of the file earlier tries left; more afterwards is progress."""
        try:
            stamp = look(part_of(job, self.means.folders))
        except WatchmanError:
            return 0
        return 0 if stamp is None else stamp.size

    def _forget_part(self, job: FetchModel) -> None:
        with suppress(WatchmanError):
            first = job.sources[0]
            fingerprint = first.sha256 or first.url
            remove_part(plan(self.means.folders, job.folder, job.name, fingerprint).part)

    def _failed(
        self, job: FetchModel, row: JobRow, error: WatchmanError, *, progressed: bool
    ) -> Outcome:
        if isinstance(error, BeingFetched):
            # Its lock goes with it: this neither lasts for ever nor uses up our tries.
            return Outcome(trouble=error.trouble(), retry_in=ELSEWHERE_SECONDS, uncounted=True)
        if isinstance(error, VerificationFailed):
            return self._mismatched(job, row, error)
        verdict = self.patience.judge(error, 0 if progressed else row.attempts)
        if verdict.retry_in is None:
            return self._given_up(job, error, verdict.trouble)
        wait = verdict.retry_in
        if verdict.trouble.code in HERE:
            # Thousands that wait for one disk look at it in turns.
            wait = max(wait, self.means.reader.read(jobs.open_jobs) * _TURN_SECONDS)
        told = self._retrying(job, row, verdict.trouble, wait)
        return Outcome(told, trouble=verdict.trouble, retry_in=wait, progressed=progressed)

    def _mismatched(self, job: FetchModel, row: JobRow, error: VerificationFailed) -> Outcome:
        """Other bytes came: once more from the start; the second time the source has changed."""
        if row.mismatches:
            changed = _changed(job, error)
            return self._given_up(job, changed, changed.trouble())
        told = self._retrying(job, row, error.trouble(), AGAIN_SECONDS)
        return Outcome(told, trouble=error.trouble(), retry_in=AGAIN_SECONDS, mismatched=True)

    def _given_up(self, job: FetchModel, error: WatchmanError, trouble: Trouble) -> Outcome:
        events: list[Event] = [
            DownloadFailed(job.folder, job.name, job.sources[0].backend, trouble)
        ]
        if isinstance(error, (NameTaken, UnsafeFile)):
            # Only a person can say what is to become of it.
            events.append(ReferenceAmbiguous(job.folder, job.name, job.sources, trouble))
        return Outcome(tuple(events), trouble=trouble)

    def _retrying(
        self, job: FetchModel, row: JobRow, trouble: Trouble, retry_in: float
    ) -> tuple[Event, ...]:
        """Tell that it is tried again, unless that was told already: what lasts is said once."""
        if row.trouble is not None and row.trouble.code == trouble.code:
            return ()
        return (DownloadRetrying(job.folder, job.name, trouble, retry_in),)


def _changed(job: FetchModel, error: VerificationFailed) -> SourceChanged:
    where = " and ".join(dict.fromkeys(source.host for source in job.sources))
    return SourceChanged(
        f"{where}: twice, the second time from the start, other bytes came than were promised. "
        f"{error.cause}",
        remedy="It is not fetched again by itself. Look at the source's page; then put the new "
        "hash into the workflow, name another source, or have it tried once more: "
        "comfywatchman retry.",
    )


def _is_progress(job: FetchModel, more: int) -> bool:
    size = job.sources[0].size
    return more >= (_SUBSTANCE if size is None else min(_SUBSTANCE, max(1, size >> 4)))
