"""From the sources of one file to that file under its final name."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.disk.files import look, measure
from comfywatchman.disk.part import Part, remove_part
from comfywatchman.domain.candidates import Candidate
from comfywatchman.domain.errors import (
    BeingFetched,
    DiskFull,
    DownloadTooLarge,
    NameTaken,
    UrlRefused,
    VerificationFailed,
    WatchmanError,
    WrongAnswer,
)
from comfywatchman.domain.files import Expected, Folders, Measured
from comfywatchman.domain.jobs import FetchModel
from comfywatchman.domain.messages import (
    DownloadQuarantined,
    DownloadStarted,
    DownloadVerified,
    Event,
    ModelPlaced,
)
from comfywatchman.download.handler import Fetched, Start, verify
from comfywatchman.download.room import Room
from comfywatchman.inventory import sample_of
from comfywatchman.pipeline import pickles
from comfywatchman.pipeline.at_hand import AtHand
from comfywatchman.pipeline.doubting import Certainty, wait_for_certainty
from comfywatchman.pipeline.queued import Queued
from comfywatchman.pipeline.telling import Progress
from comfywatchman.place import Target, link_existing, plan, publish_target, quarantine, staged
from comfywatchman.state import jobs, workflows

if TYPE_CHECKING:
    from comfywatchman.download.handler import DownloadHandler
    from comfywatchman.state.jobs import JobRow
    from comfywatchman.state.keeper import Keeper, Reader


@dataclass(frozen=True, slots=True)
class Means:
    """What one fetch worker has to bring files with."""

    handlers: Sequence[DownloadHandler]
    folders: Folders
    reader: Reader
    keeper: Keeper
    tell: Callable[[Event], None]
    room: Room = field(default_factory=Room)
    pickles: pickles.Policy = "scan"
    measures: bool = True
    """False with ``inventory.hash = "off"``."""
    certainty: Certainty = field(default_factory=Certainty)


@dataclass(frozen=True, slots=True)
class Bringing:
    """One try to bring what one job asks for."""

    means: Means
    row: JobRow
    job: FetchModel
    stop: threading.Event

    def bring(self) -> list[Event]:
        """Have the file under its final name, and return what happened.

        Raises:
            WatchmanError: it is not there.
        """
        first = self.job.sources[0]
        target = plan(
            self.means.folders,
            self.job.folder,
            self.job.name,
            fingerprint=first.sha256 or first.url,
        )
        if target.final.is_symlink() and look(target.final) is None:
            raise NameTaken(
                f"{target.final} is a link that leads nowhere.",
                remedy="Remove it, or connect the drive it leads to.",
            )
        if look(target.final) is not None:
            events = self._settled_already(target)
            remove_part(target.part)
            return events
        wanted, means = self._wanted(), self.means
        if self.row.attempts:
            wait_for_certainty(means.reader, self.row, self.stop, means.certainty.at_once())
        if first.sha256 is not None:
            linked = self._from_here(target, first.sha256)
            if linked is not None:
                return [linked]
        return self._from_sources(target, wanted)

    def _wanted(self) -> tuple[str, ...]:
        """Return the hashes that the workflows want now.

        Raises:
            WrongAnswer: none of them is the one that the sources have: a workflow was changed
                since they were chosen.
        """
        job = self.job
        wanted = self.means.reader.read(lambda c: workflows.wanted_hashes(c, job.folder, job.name))
        offered = job.sources[0].sha256
        if job.chosen or not wanted or offered is None or offered in wanted:
            return () if job.chosen else wanted
        raise WrongAnswer(
            f"{job.folder}/{job.name} is wanted with SHA-256 {' or '.join(wanted)} now, and not "
            f"with {offered}.",
            remedy="A source of the other bytes is looked for; nothing to do.",
        )

    def _settled_already(self, target: Target) -> list[Event]:
        """The name is taken: by us before a crash, or by somebody else's file."""
        job = self.job
        before = look(target.final)
        measured = measure(target.final, stop=self.stop)
        after = look(target.final)
        promise = job.sources[0].expected
        if after is None or before != after:
            raise BeingFetched(
                f"{target.final} is being written by somebody.",
                remedy="It is looked at again when that is done.",
            )
        proven = promise.sha256 == measured.sha256
        other = None if proven else promise.broken_promise(measured)
        if other is not None:
            raise NameTaken(
                f"{target.final} is there, and is not {job.folder}/{job.name} of that source: "
                f"{other}.",
                remedy="Keep it, or move it away and choose the source: comfywatchman choose.",
            )
        source = job.sources[0].backend
        return [
            ModelPlaced(
                job.folder,
                job.name,
                target.final,
                measured,
                source,
                target.final,
                stamp=after,
                promised=promise.sha256 is not None,
            )
        ]

    def _from_here(self, target: Target, sha256: str) -> ModelPlaced | None:
        """Use the same bytes where this machine has them already."""
        means, job = self.means, self.job
        at_hand = AtHand(means.reader, means.keeper, self.stop, means.measures)
        for path, size in at_hand.copies(job, sha256):
            wait_for_certainty(means.reader, self.row, self.stop, means.certainty)
            try:
                found = link_existing(path, target, self.stop, means.room.hold)
            finally:
                means.room.release(target.part)
            if not found:
                continue
            remove_part(target.part)
            measured = Measured(size, sha256)
            stamp = look(target.final)
            return ModelPlaced(
                job.folder, job.name, target.final, measured, "local", path, stamp=stamp
            )
        return None

    def _from_sources(self, target: Target, wanted: tuple[str, ...]) -> list[Event]:
        """Try the mirrors in order; what one refuses for good another may give, now or later."""
        refused: WatchmanError | None = None
        for source in self.job.sources:
            try:
                return self._from(source, target, wanted)
            except WatchmanError as error:
                if error.retryable and error.code != "source-unavailable":
                    raise
                if refused is None or (error.retryable and not refused.retryable):
                    refused = error
        assert refused is not None  # noqa: S101 - a job has at least one source
        raise refused

    def _from(self, source: Candidate, target: Target, wanted: tuple[str, ...]) -> list[Event]:
        pickles.check_name(self.job.name, self.means.pickles)
        handler = self._handler(source)
        promised = source.sha256 or (wanted[0] if len(wanted) == 1 else None)
        expected = Expected(source.size, promised)
        started = time.monotonic()
        with staged(target) as part, self._room_for(source, part):
            fetched = self._fetched(handler, source, part, expected)
            measured = self._verified(part, expected, fetched)
            if wanted and measured.sha256 not in wanted:
                raise self._unwanted(part, measured, wanted)
            self._wanted()  # a workflow may have changed while the bytes came
            certainty, chosen = self.means.certainty, self.job.chosen
            wait_for_certainty(self.means.reader, self.row, self.stop, certainty)
            pickles.check_bytes(part.descriptor, self.job.name, self.means.pickles, chosen=chosen)
            final = publish_target(target, part, measured)
        took = time.monotonic() - started
        return self._news(source, final, fetched, measured, took, promised=promised is not None)

    @contextmanager
    def _room_for(self, source: Candidate, part: Part) -> Iterator[None]:
        """Have what is to come promised to us while it comes; what waits has its place in line."""
        queued = Queued(self.means.folders, self.means.reader)
        size = source.size or source.size_about
        try:
            self.means.room.hold(part, size, queued=partial(queued.before, self.row))
            yield
        except DiskFull:
            if not part.size:
                part.remove()  # thousands may wait for room
            raise
        finally:
            self.means.room.release(part.path)

    def _handler(self, source: Candidate) -> DownloadHandler:
        for handler in self.means.handlers:
            if handler.supports_url(source.url):
                return handler
        scheme = source.url.partition(":")[0]
        raise UrlRefused(
            f"Nothing here can fetch an address that begins with {scheme!a}.",
            remedy="Install a handler for it (entry point comfywatchman.handlers), or name "
            "another source.",
        )

    def _fetched(
        self, handler: DownloadHandler, source: Candidate, part: Part, expected: Expected
    ) -> Fetched:
        try:
            return handler.download(
                source,
                part,
                expected=expected,
                mark=self.row.mark,
                on_start=lambda start: self._started(source, start),
                on_progress=Progress(self.job, self.means.tell),
                stop=self.stop,
            )
        except (VerificationFailed, DownloadTooLarge):
            part.start_over()  # what came is not the file, however much of it
            raise

    def _started(self, source: Candidate, start: Start) -> None:
        job, means = self.job, self.means
        means.keeper.write(lambda c: jobs.note_mark(c, self.row.id, start.mark))
        means.tell(
            DownloadStarted(
                job.folder,
                job.name,
                source.backend,
                start.host,
                start.mark.total,
                start.offset,
                start.lost,
            )
        )

    def _verified(self, part: Part, expected: Expected, fetched: Fetched) -> Measured:
        try:
            return verify(part, expected, self.job.name, fetched.measured)
        except VerificationFailed as error:
            where = quarantine(part, error.cause)
            self.means.tell(
                DownloadQuarantined(self.job.folder, self.job.name, where, error.trouble())
            )
            raise

    def _unwanted(self, part: Part, measured: Measured, wanted: tuple[str, ...]) -> WatchmanError:
        """Put aside what keeps the source's promise and not the workflow's."""
        job = self.job
        error = VerificationFailed(
            f"What was fetched for {job.name} has SHA-256 {measured.sha256}; "
            f"{' or '.join(wanted)} is wanted.",
            remedy="It was put into quarantine. Choose another source.",
        )
        where = quarantine(part, error.cause)
        self.means.tell(DownloadQuarantined(job.folder, job.name, where, error.trouble()))
        return error

    def _news(
        self,
        source: Candidate,
        final: Path,
        fetched: Fetched,
        measured: Measured,
        took: float,
        *,
        promised: bool,
    ) -> list[Event]:
        about = (self.job.folder, self.job.name)
        verified = DownloadVerified(
            *about, source.backend, fetched.host, measured, took, fetched.received, promised
        )
        placed = ModelPlaced(
            *about,
            final,
            measured,
            source.backend,
            stamp=look(final),
            sample=_sample(final),
            promised=promised,
        )
        return [verified, placed]


def _sample(path: Path) -> str | None:
    """Return what tells the file again under another name; without it it would be read again."""
    try:
        return sample_of(path)[0]
    except WatchmanError:
        return None
