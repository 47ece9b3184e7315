"""The step from a missing reference to a source, or to a question for a person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from comfywatchman.disk.files import look
from comfywatchman.domain.candidates import Candidate, Grade, Resolution, Wanted
from comfywatchman.domain.errors import DownloadOff, Offline, SourceUnavailable, WatchmanError
from comfywatchman.domain.files import Folders
from comfywatchman.domain.jobs import AnalyzeWorkflow, Cause, ResolveReference
from comfywatchman.domain.messages import (
    Event,
    ReferenceAmbiguous,
    ReferenceResolved,
    ReferenceUnresolved,
)
from comfywatchman.pipeline.desk import Outcome
from comfywatchman.pipeline.patience import Patience
from comfywatchman.place import plan
from comfywatchman.resolve.backend import ask
from comfywatchman.resolve.offers import Offers
from comfywatchman.resolve.ranking import Auto, choose
from comfywatchman.state import choices, jobs, models, workflows
from comfywatchman.state.telling import Telling

if TYPE_CHECKING:
    from comfywatchman.resolve.backend import SearchBackend
    from comfywatchman.state.jobs import JobRow
    from comfywatchman.state.keeper import Reader

_LONGEST_DOUBT = 60.0
"""Seconds that another address of the same file is waited for, which cannot be asked now."""
_MOST_ROUNDS = 4
"""Times that the places are asked while workflows go on saying more."""


@dataclass(frozen=True, slots=True)
class Resolver:
    """Asks the backends; used by one thread."""

    backends: Sequence[SearchBackend]
    folders: Folders
    reader: Reader
    tell: Callable[[Event], None]
    auto: Auto
    tokens: frozenset[str]
    """Hosts we have a token for."""
    patience: Patience
    _telling: Telling = field(default_factory=Telling)

    def step(self, row: JobRow) -> Outcome:
        """Carry out a `ResolveReference` job."""
        job = row.job
        assert isinstance(job, ResolveReference)  # noqa: S101 - the table's kind says so
        try:
            target = plan(self.folders, job.folder, job.name, fingerprint="")
            if look(target.final) is not None and self._indexed(job):
                return self._here_already(job)
            if self._auto(row) == "off":
                raise DownloadOff(
                    f"{job.folder}/{job.name} is not looked for: download.auto is off.",
                    remedy="Have it fetched with `comfywatchman fix`, or set download.auto.",
                )
            wanted = self._wanted(job)
            answer = self.reader.read(lambda c: choices.answer(c, job.folder, job.name))
            if answer is not None and still_serves(answer, wanted):
                event = ReferenceResolved(job.folder, job.name, (answer,), chosen=True)
                return Outcome((event,))
            asked_for = self._is_asked_for(job)
            wanted, offers = self._asked(job, wanted)
            if asked_for and not self._is_asked_for(job):
                return Outcome()  # its workflow went, or means another file by now
        except WatchmanError as error:
            return self._unresolved(job, row, error)
        resolution = choose(
            offers.candidates,
            wanted,
            auto=self._auto(row),
            tokens=self.tokens,
            complete=offers.complete,
            troubles=offers.troubles,
        )
        doubt = self._doubted(row, wanted, offers, resolution)
        return doubt or self._outcome(job, row, offers, resolution)

    def _doubted(
        self, row: JobRow, wanted: Wanted, offers: Offers, resolution: Resolution
    ) -> Outcome | None:
        """Ask an address once more that may have another file of this name, a few times."""
        if not offers.troubles or not _may_be_contradicted(wanted, offers, resolution):
            return None
        again = self.patience.again(row.attempts, offers.retry_after)
        if row.attempts >= self.patience.max_retries or again is None or again > _LONGEST_DOUBT:
            return None
        return Outcome(trouble=offers.troubles[0], retry_in=again)

    def _auto(self, row: JobRow) -> Auto:
        """Return what is fetched without a question: who asks for it now has said yes."""
        asks = self.auto in {"ask", "off"}
        return "exact" if asks and row.priority >= jobs.NOW else self.auto

    def _wanted(self, job: ResolveReference) -> Wanted:
        return self.reader.read(
            lambda c: workflows.wanted(c, job.folder, job.name, telling=self._telling)
        )

    def _asked(self, job: ResolveReference, wanted: Wanted) -> tuple[Wanted, Offers]:
        """Ask until what the workflows want is what was asked for.

        Another workflow with the same name may have been read meanwhile, with an address of its
        own: both are looked at before one is chosen.

        Raises:
            SourceUnavailable: it goes on changing; asked again in a moment.
        """
        for _ in range(_MOST_ROUNDS):
            offers = ask(self.backends, wanted, self.tell)
            before, wanted = wanted, self._wanted(job)
            if wanted == before:
                return wanted, offers
        raise SourceUnavailable(
            f"What workflows say about {job.folder}/{job.name} changed while it was looked for.",
            remedy="It is looked for again in a moment; nothing to do.",
        )

    def _is_asked_for(self, job: ResolveReference) -> bool:
        return bool(self.reader.read(lambda c: workflows.asked_by(c, job.folder, job.name)))

    def _indexed(self, job: ResolveReference) -> bool:
        found = self.reader.read(lambda c: models.named(c, job.name.rsplit("/", 1)[-1]))
        names = {listed for file in found for listed in self.folders.named(file.path)}
        return (job.folder, job.name) in names

    def _here_already(self, job: ResolveReference) -> Outcome:
        paths = self.reader.read(lambda c: workflows.asked_by(c, job.folder, job.name))
        return Outcome(jobs=tuple(AnalyzeWorkflow(path, Cause.ARRIVED) for path in paths))

    def _outcome(
        self, job: ResolveReference, row: JobRow, offers: Offers, resolution: Resolution
    ) -> Outcome:
        if resolution.chosen:
            return Outcome((ReferenceResolved(job.folder, job.name, resolution.chosen),))
        why = resolution.why
        assert why is not None  # noqa: S101 - where nothing is chosen, it says why
        if not offers.complete and why.code != Offline.code:
            again = self.patience.again(row.attempts, offers.retry_after)
            if again is not None:
                return Outcome(trouble=next(iter(offers.troubles), why), retry_in=again)
            why = self.patience.promised(why, None)
        event: Event = ReferenceUnresolved(job.folder, job.name, why)
        if resolution.candidates:
            event = ReferenceAmbiguous(job.folder, job.name, resolution.candidates, why)
        return Outcome((event,), trouble=why)

    def _unresolved(self, job: ResolveReference, row: JobRow, error: WatchmanError) -> Outcome:
        verdict = self.patience.judge(error, row.attempts)
        if verdict.retry_in is not None:
            return Outcome(trouble=verdict.trouble, retry_in=verdict.retry_in)
        event = ReferenceUnresolved(job.folder, job.name, verdict.trouble)
        return Outcome((event,), trouble=verdict.trouble)


def _may_be_contradicted(wanted: Wanted, offers: Offers, resolution: Resolution) -> bool:
    """Say whether an address that could not be asked may have another file of this name.

    Which of two hubs answers today must not decide which file is meant. A hash decides.
    """
    several = len(set(wanted.urls)) > 1
    proven = any(offer.grade is Grade.A for offer in resolution.chosen)
    offline = any(trouble.code == Offline.code for trouble in offers.troubles)
    decided = bool(resolution.chosen) and not proven
    return decided and several and not offers.complete and not offline


def still_serves(answer: Candidate, wanted: Wanted) -> bool:
    """Say whether what a person chose is not what a workflow has come to want otherwise."""
    return not wanted.sha256 or answer.sha256 is None or answer.sha256 in wanted.sha256
