"""The workers around one desk; what `run` and `fix` share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from comfywatchman.daemon.anew import look_again, means
from comfywatchman.daemon.easing import Easing
from comfywatchman.daemon.lessons import Lessons, first_lessons
from comfywatchman.daemon.measuring import Measuring
from comfywatchman.daemon.others import NOBODY, Others
from comfywatchman.daemon.parts import (
    answers_for,
    backends_for,
    easing_for,
    handlers_for,
    manner_for,
    parser_for,
    policy_for,
    questions_for,
    shared_for,
    token_hosts,
)
from comfywatchman.daemon.tally import Tally
from comfywatchman.daemon.tidying import Tidying
from comfywatchman.daemon.traffic import Traffic
from comfywatchman.daemon.workers import Worker
from comfywatchman.domain.messages import ErrorMet, Event, InventoryProgressed
from comfywatchman.inventory.arriving import PATIENCE_SECONDS
from comfywatchman.net.asking import Net
from comfywatchman.net.policy import NetPolicy
from comfywatchman.pipeline.analyzing import Analyzer
from comfywatchman.pipeline.bringing import Means
from comfywatchman.pipeline.desk import Desk
from comfywatchman.pipeline.doubting import Certainty
from comfywatchman.pipeline.fetching import Fetcher
from comfywatchman.pipeline.patience import OF_THE_SETTINGS, Patience
from comfywatchman.pipeline.places import Verified
from comfywatchman.pipeline.reach import Reach
from comfywatchman.pipeline.resolving import Resolver
from comfywatchman.report.audit import AuditLog
from comfywatchman.state import clock, jobs, store
from comfywatchman.state.mending import mend

if TYPE_CHECKING:
    from comfywatchman.config.settings import Settings
    from comfywatchman.daemon.installation import Place
    from comfywatchman.parsing.parser import Parser
    from comfywatchman.state.answers import Answers
    from comfywatchman.state.keeper import Keeper, Reader

STOP_SECONDS = 4.0
"""How long the workers get to come to a stop; a transfer stops at its next block."""


@dataclass(slots=True)
class Engine:
    """Owns the database of one state directory and the threads that work on it.

    The caller holds the lock of the state directory.
    """

    settings: Settings
    place: Place
    desk: Desk
    keeper: Keeper
    reader: Reader
    stop_event: threading.Event
    parser: Parser
    lessons: Lessons
    traffic: Traffic
    answers: Answers
    reach: Reach = field(default_factory=Reach)
    workers: list[Worker] = field(default_factory=list)
    measuring: Measuring | None = None
    tidying: Tidying | None = None
    """``None`` where nobody stays to do it."""
    policy: NetPolicy = field(default_factory=NetPolicy)
    """What may be asked, and the budget of each host."""
    easing: Easing | None = None
    """``None`` where a person waits for the transfers, or nobody is to be asked."""
    _threads: list[threading.Thread] = field(default_factory=list)

    @classmethod
    def build(
        cls,
        settings: Settings,
        place: Place,
        readers: Sequence[Callable[[Event], None]],
        environ: Mapping[str, str],
        tally: Tally,
        *,
        download: bool,
        lasting: bool,
        others: Others = NOBODY,
    ) -> Engine:
        """Open the state and make the workers; nothing runs yet.

        Args:
            settings: in force.
            place: where ComfyUI and the state lie.
            readers: who is told of events.
            environ: for the network: proxies and certificates.
            tally: who counts what is no event.
            download: whether anything may be fetched.
            lasting: whether to wait for what is wrong on this machine to be cured.
            others: backends and handlers that a program brought.

        Raises:
            StateUnusable, DiskFailed: the database cannot be used.
            SettingsInvalid: the loader lines or the user's own catalog are wrong.
        """
        lessons, broken = first_lessons(settings)
        parser = parser_for(settings, lessons.lines)
        with ExitStack() as undo:
            mended = mend(place.state_directory) if lasting else None
            keeper = store.open_keeper(place.state_directory)
            keeper.on_error = tally.count_database_error
            undo.callback(keeper.close)
            reader = store.open_reader(place.state_directory)
            assert reader is not None  # noqa: S101 - the keeper has just made it
            reader.on_error = tally.count_database_error
            undo.callback(reader.close)
            keeper.write(lambda c: jobs.recover(c, time.time()))
            keeper.write(lambda c: clock.none_later(c, time.time()))
            if lasting:
                keeper.write(lambda c: jobs.revive(c, time.time(), after=0, codes=OF_THE_SETTINGS))
                stamp = means(settings.analyze, place.layout.folders)
                keeper.write(lambda c: look_again(c, stamp))
            traffic = Traffic(
                settings.download,
                place.layout.folders,
                reader,
                since=0.0 if lasting else time.time(),
                always_open=not lasting,
            )
            answers = answers_for(settings)
            undo.callback(answers.close)
            desk = Desk(
                keeper,
                reader,
                readers,
                on_job=tally.count_job,
                rules=traffic.rules,
                workers={"fetch": settings.download.concurrency},
            )
            if mended is not None:
                desk.tell(ErrorMet(mended.trouble(), place.state_directory))
            if broken is not None:
                desk.tell(ErrorMet(broken, place.state_directory))
            engine = cls(
                settings,
                place,
                desk,
                keeper,
                reader,
                threading.Event(),
                parser,
                lessons,
                traffic,
                answers,
            )
            engine._hire(environ, tally, others, download=download, lasting=lasting)
            undo.pop_all()
        return engine

    def _hire(
        self,
        environ: Mapping[str, str],
        tally: Tally,
        others: Others,
        *,
        download: bool,
        lasting: bool,
    ) -> None:
        settings, folders = self.settings, self.place.layout.folders
        policy = policy_for(settings, environ, self.stop_event, answers=self.answers)
        self.policy = policy
        patience = Patience(settings.download.max_retries, lasting=lasting)
        analyzer = Analyzer(
            self.parser,
            folders,
            self.reader,
            self.reach,
            lambda: self.lessons.lines,
            # A daemon notes a file only when it has come to rest.
            0.0 if lasting else PATIENCE_SECONDS,
        )
        resolver = Resolver(
            backends_for(
                settings,
                questions_for(settings, Net(policy), self.answers),
                environ,
                Verified(self.reader),
                others,
            ),
            folders,
            self.reader,
            self.desk.tell,
            settings.download.auto,
            token_hosts(settings),
            patience,
        )
        self._add("analyze", "analyze", analyzer.step, when_idle=analyzer.rest)
        self._add("resolve", "resolve", resolver.step)
        allowed = download and settings.download.auto != "off"
        shared = shared_for(settings)
        if lasting:
            self.easing = easing_for(settings, shared, self.stop_event)
        audit = AuditLog(self.place.state_directory)
        if lasting:
            days = settings.download.quarantine_days
            self.tidying = Tidying(days, folders, self.reader, audit, answers=self.reach.answers)
        for number in range(settings.download.concurrency):
            means = Means(
                handlers_for(settings, Net(policy), shared, others),
                folders,
                self.reader,
                self.keeper,
                self.desk.tell,
                shared.room,
                settings.download.allow_pickle,
                settings.inventory.hash != "off",
                Certainty(self.traffic.since),
            )
            fetcher = Fetcher(
                means,
                patience,
                self.stop_event,
                allowed,
                self.reach,
                self.traffic.halts,
                self.traffic.in_the_way,
                on_request=download,
            )
            rest = self.tidying if number == 0 else None
            self._add(f"fetch-{number + 1}", "fetch", fetcher.step, when_idle=rest)
        manner = manner_for(settings)
        if manner is not None and lasting:
            self.measuring = Measuring(
                self.desk, self.reader, folders, self.stop_event, tally, manner, self.reach
            )

    def _add(
        self,
        name: str,
        kind: str,
        step: Callable[[jobs.JobRow], object],
        *,
        when_idle: Callable[[], None] | None = None,
    ) -> None:
        self.workers.append(
            Worker(
                name,
                kind,
                step,  # type: ignore[arg-type]  # bound methods of frozen steps
                self.desk,
                self.stop_event,
                when_idle=when_idle,
            )
        )

    def start(self) -> None:
        for worker in self.workers:
            worker.start()
        if self.measuring is not None:
            thread = threading.Thread(target=self.measuring.run, name="index", daemon=True)
            thread.start()
            self._threads.append(thread)
        if self.easing is not None:
            self.easing.start()
            self._threads.append(self.easing)

    def stop(self, deadline: float | None = None) -> None:
        """Stop the workers, then close the database; what was under way waits in its row.

        Who does not stop by *deadline* (monotonic seconds) ends with the process.
        """
        self.stop_event.set()
        deadline = deadline or time.monotonic() + STOP_SECONDS
        for kind in self.desk.bells:
            for _ in range(len(self.workers) + 1):
                self.desk.ring(kind)
        if self.easing is not None:
            self.easing.end()
        for thread in (*self.workers, *self._threads):
            if thread.ident is not None:  # where something failed before, none was started
                thread.join(max(0.0, deadline - time.monotonic()))
        self.parser.close()
        self.answers.close()
        # The keeper's is the last connection: who closes that tidies the write-ahead log up.
        self.reader.close()
        self.keeper.close()

    def standing(self) -> InventoryProgressed:
        """Return how far measuring is; nothing waits where nothing is ever measured."""
        if self.measuring is None:
            return InventoryProgressed(0, 0, 0.0, None)
        return self.measuring.standing()

    def alive(self) -> dict[str, tuple[bool, float]]:
        """Return for each thread whether it lives and when it last said so."""
        seen = {worker.name: (worker.is_alive(), worker.heartbeat) for worker in self.workers}
        if self.measuring is not None and self._threads:
            seen["index"] = (self._threads[0].is_alive(), self.measuring.heartbeat)
            seen.update({name: (alive, at) for name, alive, at in self.measuring.alive()})
        if self.easing is not None:
            seen[self.easing.name] = (self.easing.is_alive(), 0.0)
        return seen
