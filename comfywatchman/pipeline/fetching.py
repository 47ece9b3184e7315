"""The step from a chosen source to a verified file under its final name."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from comfywatchman.disk.files import look, measure
from comfywatchman.disk.part import remove_part
from comfywatchman.domain.candidates import Candidate
from comfywatchman.domain.errors import (
    BeingFetched,
    DownloadOff,
    Interrupted,
    NameTaken,
    Trouble,
    VerificationFailed,
    WatchmanError,
)
from comfywatchman.domain.files import Folders, Measured, ModelFile
from comfywatchman.domain.messages import (
    DownloadFailed,
    DownloadProgressed,
    DownloadQuarantined,
    DownloadRetrying,
    DownloadStarted,
    DownloadVerified,
    Event,
    FetchModel,
    ModelPlaced,
)
from comfywatchman.download.handler import verify
from comfywatchman.pipeline.desk import Outcome
from comfywatchman.pipeline.leftovers import part_of
from comfywatchman.pipeline.patience import Patience
from comfywatchman.place import Target, link_existing, plan, publish_target, quarantine
from comfywatchman.state import jobs, models

if TYPE_CHECKING:
    from comfywatchman.download.handler import DownloadHandler
    from comfywatchman.state.jobs import JobRow
    from comfywatchman.state.keeper import Keeper, Reader

PROGRESS_SECONDS = 1.0
"""News of one transfer come at most this often."""


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches, verifies and places; one for each fetch worker."""

    handlers: Sequence[DownloadHandler]
    folders: Folders
    reader: Reader
    keeper: Keeper
    tell: Callable[[Event], None]
    patience: Patience
    stop: threading.Event
    allowed: bool = True
    """False with ``--no-download`` and ``download.auto = "off"``."""

    def step(self, row: JobRow) -> Outcome:
        """Carry out a `FetchModel` job; doing it twice does no harm."""
        job = row.job
        assert isinstance(job, FetchModel)  # noqa: S101 - the table's kind says so
        before = self._gathered(job)
        try:
            if not self.allowed:
                raise DownloadOff(
                    f"{job.folder}/{job.name} is not fetched: downloads are switched off.",
                    remedy="Start without --no-download, or run `comfywatchman fix`.",
                )
            events = self._bring(job, row)
        except Interrupted:
            return Outcome(interrupted=True)
        except WatchmanError as error:
            now = self._gathered(job)
            if now == 0 and not error.retryable:
                self._forget_part(job)
            return self._failed(job, row, error, progressed=now > before)
        return Outcome(tuple(events))

    def _gathered(self, job: FetchModel) -> int:
        """Return how many bytes of the file earlier tries left; more afterwards is progress."""
        try:
            stamp = look(part_of(job, self.folders))
        except WatchmanError:
            return 0
        return 0 if stamp is None else stamp.size

    def _forget_part(self, job: FetchModel) -> None:
        with suppress(WatchmanError):
            remove_part(part_of(job, self.folders))

    def _bring(self, job: FetchModel, row: JobRow) -> list[Event]:
        first = job.sources[0]
        target = plan(self.folders, job.folder, job.name, fingerprint=first.sha256 or first.url)
        if target.final.is_symlink() and look(target.final) is None:
            raise NameTaken(
                f"{target.final} is a link that leads nowhere.",
                remedy="Remove it, or connect the drive it leads to.",
            )
        if look(target.final) is not None:
            events = self._settled_already(job, target)
            remove_part(target.part)
            return events
        if first.sha256 is not None:
            linked = self._from_here(job, target, first.sha256)
            if linked is not None:
                return [linked]
        return self._from_sources(job, row, target)

    def _settled_already(self, job: FetchModel, target: Target) -> list[Event]:
        """The name is taken: by us before a crash, or by somebody else's file."""
        before = look(target.final)
        measured = measure(target.final, stop=self.stop)
        after = look(target.final)
        wanted = job.sources[0].sha256
        if after is None or before != after:
            raise BeingFetched(
                f"{target.final} is being written by somebody.",
                remedy="It is looked at again when that is done.",
            )
        if wanted is not None and measured.sha256 != wanted:
            raise NameTaken(
                f"{target.final} is there with SHA-256 {measured.sha256}, "
                f"and {job.folder}/{job.name} should have {wanted}.",
                remedy="Keep it, or move it away and drop the workflow again.",
            )
        source = job.sources[0].backend
        return [
            ModelPlaced(
                job.folder, job.name, target.final, measured, source, target.final, stamp=after
            )
        ]

    def _from_here(self, job: FetchModel, target: Target, sha256: str) -> ModelPlaced | None:
        """Use the same bytes where this machine has them already."""
        for file in self._same_bytes(job, sha256):
            if not link_existing(file.path, target, self.stop):
                continue
            remove_part(target.part)
            measured = Measured(file.size, sha256)
            return ModelPlaced(
                job.folder,
                job.name,
                target.final,
                measured,
                "local",
                file.path,
                stamp=look(target.final),
            )
        return None

    def _same_bytes(self, job: FetchModel, sha256: str) -> list[ModelFile]:
        known = [f for f in self.reader.read(lambda c: models.hashed(c, sha256)) if f.whole]
        believed = [file for file in known if look(file.path) == file.stamp]
        return believed or self._measured_now(job, sha256)

    def _measured_now(self, job: FetchModel, sha256: str) -> list[ModelFile]:
        """Measure files of that name and size that nobody measured yet: reading beats fetching."""
        base = job.name.rsplit("/", 1)[-1]
        size = job.sources[0].size
        found = []
        for file in self.reader.read(lambda c: models.named(c, base)):
            if file.sha256 is not None or not file.whole or file.size != size:
                continue
            measured = measure(file.path, stop=self.stop)
            if look(file.path) != file.stamp:
                continue
            note = partial(
                models.measured,
                path=file.path,
                stamp=file.stamp,
                sha256=measured.sha256,
                at_ns=time.time_ns(),
            )
            self.keeper.write(note)
            if measured.sha256 == sha256:
                found.append(file)
        return found

    def _from_sources(self, job: FetchModel, row: JobRow, target: Target) -> list[Event]:
        """Try the mirrors in order; what one refuses for good another may give, now or later."""
        refused: WatchmanError | None = None
        for source in job.sources:
            try:
                return self._from(source, job, row, target)
            except WatchmanError as error:
                if error.retryable and error.code != "source-unavailable":
                    raise
                if refused is None or (error.retryable and not refused.retryable):
                    refused = error
        assert refused is not None  # noqa: S101 - a job has at least one source
        raise refused

    def _from(self, source: Candidate, job: FetchModel, row: JobRow, target: Target) -> list[Event]:
        handler = next(h for h in self.handlers if h.supports(source.url))
        started = time.monotonic()
        fetched = handler.fetch(
            source,
            target.part,
            expected=source.expected,
            validator=row.validator,
            on_start=self._starting(job, row, source),
            on_progress=self._progressing(job),
            stop=self.stop,
        )
        try:
            measured = verify(target.part, source.expected, job.name, fetched.measured)
        except VerificationFailed as error:
            where = quarantine(target.part, error.cause)
            self.tell(DownloadQuarantined(job.folder, job.name, where, error.trouble()))
            raise
        final = publish_target(target, measured)
        duration = time.monotonic() - started
        return [
            DownloadVerified(
                job.folder,
                job.name,
                source.backend,
                fetched.host,
                measured,
                duration,
                fetched.received,
            ),
            ModelPlaced(job.folder, job.name, final, measured, source.backend, stamp=look(final)),
        ]

    def _starting(
        self, job: FetchModel, row: JobRow, source: Candidate
    ) -> Callable[[str, int | None, str | None, int], None]:
        def on_start(host: str, size: int | None, etag: str | None, offset: int) -> None:
            self.keeper.write(lambda c: jobs.note_validator(c, row.id, etag, host))
            self.tell(DownloadStarted(job.folder, job.name, source.backend, host, size, offset))

        return on_start

    def _progressing(self, job: FetchModel) -> Callable[[int, int | None], None]:
        last = [time.monotonic(), 0.0]

        def on_progress(done: int, size: int | None) -> None:
            now = time.monotonic()
            if now - last[0] < PROGRESS_SECONDS:
                return
            speed = max(0.0, (done - last[1]) / (now - last[0])) if last[1] else 0.0
            last[0], last[1] = now, float(done)
            self.tell(DownloadProgressed(job.folder, job.name, done, size, speed))

        return on_progress

    def _failed(
        self, job: FetchModel, row: JobRow, error: WatchmanError, *, progressed: bool
    ) -> Outcome:
        verdict = self.patience.judge(error, 0 if progressed else row.attempts)
        retry_in = verdict.retry_in
        if isinstance(error, VerificationFailed) and row.attempts == 0:
            retry_in = 1.0  # once more from the start; the second time the source has changed
        if retry_in is None:
            source = job.sources[0].backend
            event: Event = DownloadFailed(job.folder, job.name, source, verdict.trouble)
            return Outcome((event,), trouble=verdict.trouble)
        told: tuple[Event, ...] = ()
        if not _same_trouble(row.trouble, verdict.trouble):
            told = (DownloadRetrying(job.folder, job.name, verdict.trouble, retry_in),)
        return Outcome(told, trouble=verdict.trouble, retry_in=retry_in, progressed=progressed)


def _same_trouble(before: Trouble | None, now: Trouble) -> bool:
    """Whether this was told already: what lasts is said once."""
    return before is not None and before.code == now.code
