"""The daemon's moving parts for one set of settings: engine, watcher, sweeps, timers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING

from comfywatchman.daemon.engine import Engine
from comfywatchman.daemon.installation import Place
from comfywatchman.daemon.measuring import Manner
from comfywatchman.daemon.memory import give_back
from comfywatchman.daemon.nodes import Look, Nodes
from comfywatchman.daemon.notices.telling import Listener, Telling, telling_for
from comfywatchman.daemon.scrubbing import DAY, SCRUB, Scrubbing, Task
from comfywatchman.daemon.stuck import stuck, tell_stuck
from comfywatchman.daemon.sweeps import Sweeps
from comfywatchman.daemon.tally import Tally
from comfywatchman.daemon.timers import Timer, Timers
from comfywatchman.daemon.watching import POLL, TIMER, Check, Stop, SweepRequest, Watching, rule_for
from comfywatchman.disk.answering import Answering
from comfywatchman.disk.scouts import Scouts
from comfywatchman.domain.messages import ErrorMet, Event, WatchDegraded, WatchStarted
from comfywatchman.pipeline.patience import PASSING
from comfywatchman.pipeline.sweeping import Tree, models_of, trees
from comfywatchman.report.log import NOTICES_THREAD
from comfywatchman.state import clock, jobs, workflows
from comfywatchman.watch.kernel import BlindMounts
from comfywatchman.watch.notice import News, Noticed, Polling, RootChange, RootState, WatchRoot
from comfywatchman.watch.settle import Settling
from comfywatchman.watch.watcher import Watcher

if TYPE_CHECKING:
    from comfywatchman.config.settings import Settings

CHECK_SECONDS = 10.0
PROBE_SECONDS = 60.0
IDLE_SECONDS = 61.0
"""How often the analyze thread looks whether its child process can go."""
SECOND_LOOK_SECONDS = 600.0
REVIVE_SECONDS = 900.0
FAILED_REST_SECONDS = 3600.0
"""How long a job that failed with a passing error is left alone."""
STOP_SECONDS = 3.5
"""How long everything together gets to come to a stop; a transfer stops at its next block."""


@dataclass(slots=True)
class Running:
    """Everything that works while the daemon runs; built by `build`, owned by the main thread."""

    settings: Settings
    place: Place
    engine: Engine
    trees: Sequence[Tree]
    watcher: Watcher
    watching: Watching
    sweeps: Sweeps
    notices: SimpleQueue[Noticed | Stop]
    requests: SimpleQueue[SweepRequest | Check | Stop]
    nodes: Nodes
    scrubbing: Scrubbing | None = None
    telling: Telling | None = None
    """``None`` where the settings name nobody to tell."""
    timers: Timers | None = None
    swept_at: dict[str, float] = field(default_factory=dict)
    """Tree key -> when it was last walked to the end (Unix seconds)."""
    stuck: Sequence[str] = ()
    """Threads that did not end with `stop`: they stand before a disk that does not answer."""
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
        listener: Listener,
    ) -> Running:
        """Open the state and make all parts; nothing runs yet.

        Raises:
            StateUnusable, DiskFailed: the database cannot be used.
        """
        told = list(readers)
        engine = Engine.build(
            settings, place, told, environ, tally, download=download, lasting=True
        )
        notices: News[Noticed | Stop] = News()
        requests: SimpleQueue[SweepRequest | Check | Stop] = SimpleQueue()
        engine.reach.answering = Answering(scouts=Scouts(BlindMounts()))
        watched = trees(place.workflow_dirs, place.layout.folders)
        watcher = Watcher(
            notices,  # type: ignore[arg-type]  # the watcher only puts, and only notices
            polling=Polling(settings.watch.polling),
            answering=engine.reach.answering,
            own=place.state_directory / "probe",
        )
        settle_seconds = settings.watch.settle_seconds
        watching = Watching(
            notices,
            requests,
            engine.desk,
            engine.reader,
            place.workflow_dirs,
            [tree.root for tree in watched if tree.kind == "models"],
            Settling(rule_for(place.workflow_dirs, settle_seconds)),
            models_of(place.layout.folders),
            tally,
            engine.reach,
        )
        sweeps = Sweeps.build(
            inbox=requests,
            notices=notices,
            desk=engine.desk,
            reader=engine.reader,
            trees=watched,
            watcher=watcher,
            folders=place.layout.folders,
            settle_seconds=settle_seconds,
            tally=tally,
            reach=engine.reach,
        )
        nodes = Nodes(settings, place, engine.desk, engine.lessons)
        told.append(nodes.observe)
        running = cls(
            settings, place, engine, watched, watcher, watching, sweeps, notices, requests, nodes
        )
        sweeps.on_swept = running._note_swept
        watching.compared = sweeps.first_done.is_set
        if engine.tidying is not None:
            engine.tidying.may_begin = sweeps.first_done.is_set
        sweeps.pending = lambda: notices.qsize() + watching.settling.waiting()
        running.telling = telling_for(settings, engine, environ, listener, tally.count_webhook)
        if running.telling is not None:
            told.append(running.telling.noting.observe)
        running.scrubbing = running._scrubbing(tally)
        if running.scrubbing.claims:
            watching.on_sidecar = running.scrubbing.hearsay.note
            told.append(running.scrubbing.hearsay.observe)
        return running

    def _scrubbing(self, tally: Tally) -> Scrubbing:
        """Make what reads files again for decay, and the caches of other programs."""
        wanted, engine = self.settings.inventory, self.engine
        measuring = engine.measuring
        return Scrubbing(
            engine.desk,
            engine.keeper,
            engine.reader,
            self.place,
            engine.stop_event,
            tally,
            measuring.manner if measuring is not None else Manner(),
            # With hash = "off" nobody wants files to be read.
            wanted.scrub_days if wanted.hash != "off" else 0.0,
            wanted.claims == "auto",
            self.sweeps.first_done,
            measuring.turns.busy if measuring is not None else lambda: False,
            reach=engine.reach,
        )

    def start(self) -> None:
        """Watch first, then sweep: nothing slips in between."""
        for trouble in self.place.layout.troubles:
            self.engine.desk.tell(ErrorMet(trouble))
        self._make_workflow_directories()
        for change in self.watcher.start([WatchRoot(t.root, t.kind) for t in self.trees]):
            self._tell_start(change)
        self.engine.reach.doubtful = self.watcher.doubtful()
        self.engine.start()
        self._thread("settle", self.watching.run)
        self._thread("sweep", self.sweeps.run)
        self._thread("nodes", self.nodes.run)
        if self.telling is not None:
            self._thread(NOTICES_THREAD, self.telling.courier.run)
        if self.scrubbing is not None:
            self._thread("care", self.scrubbing.run)
            self.scrubbing.put(Task.CLAIMS)
        self.requests.put(SweepRequest("start"))
        self.nodes.inbox.put(Look())
        # The others begin anew with each start; how long ago a night was, the state knows.
        scrubbed = self.engine.reader.read(workflows.timer_times).get(SCRUB)
        last = {} if scrubbed is None else {SCRUB: scrubbed}
        self.timers = Timers(self._timers(), last, on_step=self._clock_stepped)
        self.timers.start()

    def stop(self) -> None:
        """Stop from the outside in; what was under way waits in its row."""
        if self.timers is not None:
            self.timers.stop()
        if self.telling is not None:
            self.telling.courier.last_words()
        deadline = time.monotonic() + STOP_SECONDS
        self.sweeps.stopping.set()
        self.engine.stop_event.set()
        # A watch on a mount that hangs does not come back; it must not hold the rest.
        unwatching = threading.Thread(target=self.watcher.stop, name="unwatch", daemon=True)
        unwatching.start()
        self.requests.put(Stop())
        self.notices.put(Stop())
        self.nodes.stopping.set()
        self.nodes.inbox.put(Stop())
        if self.scrubbing is not None:
            self.scrubbing.end()
        if self.telling is not None:
            self.telling.courier.end()
        for thread in (*self._threads, unwatching):
            thread.join(max(0.0, min(1.0, deadline - time.monotonic())))
        self.engine.stop(deadline)
        answering = self.engine.reach.answering
        self.stuck = stuck(answering.left_behind(), (*self._threads, *self.engine.workers))
        tell_stuck(self.stuck)
        answering.close()

    def alive(self) -> dict[str, tuple[bool, float]]:
        """Return for each thread whether it lives and when it last said so (Unix seconds)."""
        seen = self.engine.alive()
        beats = {
            "settle": self.watching.heartbeat,
            "sweep": self.sweeps.heartbeat,
            "nodes": self.nodes.heartbeat,
        }
        if self.scrubbing is not None:
            beats["care"] = self.scrubbing.heartbeat
        if self.telling is not None:
            beats[NOTICES_THREAD] = self.telling.courier.heartbeat
        for thread in self._threads:
            seen[thread.name] = (thread.is_alive(), beats[thread.name])
        return seen

    def counts(self, tree: Tree) -> bool:
        """Whether a tree is one to speak of: not a place where ComfyUI would look if it existed."""
        there = self.watcher.is_there(tree.root)
        return not tree.optional or there or self.sweeps.misses(tree.root)

    def sweep(self, reason: str, *, believe: bool = False) -> None:
        self.requests.put(SweepRequest(reason, believe=believe))

    def _thread(self, name: str, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _make_workflow_directories(self) -> None:
        """Make the workflow directories below ComfyUI's own, which ComfyUI makes at first use."""
        for path in self.place.workflow_dirs:
            if self.place.comfyui_root in path.parents and not path.exists():
                try:
                    path.mkdir(parents=True)
                except OSError:
                    continue  # told as a root that is offline, with its remedy

    def _tell_start(self, change: RootChange) -> None:
        root, desk = change.root, self.engine.desk
        if change.state is RootState.OFFLINE:
            self.sweeps.tell_root(change)
            return
        directories = self.watcher.methods().directories
        desk.tell(WatchStarted(root.path, root.kind, change.method.value, directories))
        if change.state is RootState.DEGRADED and change.trouble is not None:
            desk.tell(WatchDegraded(root.path, change.trouble))

    def _timers(self) -> tuple[Timer, ...]:
        sweep = self.settings.watch.sweep_minutes * 60
        polled = self.settings.watch.polling_seconds
        put = self.requests.put
        return (
            Timer("sweep", sweep, lambda: put(SweepRequest(TIMER)), jitter=sweep / 4),
            Timer("poll", polled, self._poll),
            Timer("roots", CHECK_SECONDS, lambda: put(Check())),
            Timer("probe", PROBE_SECONDS, lambda: put(Check(probe=True))),
            Timer("idle", IDLE_SECONDS, self._tidy),
            Timer("nodes", self.settings.comfyui.probe_seconds, self._look_at_nodes),
            Timer("revive", REVIVE_SECONDS, self._revive),
            *self._care_timers(),
        )

    def _care_timers(self) -> tuple[Timer, ...]:
        scrubbing = self.scrubbing
        if scrubbing is None:
            return ()
        hour = self.settings.inventory.scrub_hour
        return (
            Timer(SCRUB, DAY, lambda: scrubbing.put(Task.SCRUB), 1800.0, hour),
            Timer("claims", DAY, lambda: scrubbing.put(Task.CLAIMS)),
        )

    def _clock_stepped(self, seconds: float) -> None:
        """Have everybody who waits for a time of day look again what it is."""
        now = time.time()
        self.engine.keeper.write(lambda c: clock.stepped(c, seconds, now))
        for kind in self.engine.desk.bells:
            self.engine.desk.ring(kind)
        if self.telling is not None:
            self.telling.courier.ring()

    def _poll(self) -> None:
        for root in self.watcher.polled_roots():
            self.requests.put(SweepRequest(POLL, root))

    def _look_at_nodes(self) -> None:
        if self.nodes.inbox.empty():  # one look at a time, however long it takes
            self.nodes.inbox.put(Look())

    def _tidy(self) -> None:
        self.engine.desk.ring("analyze")
        self.engine.keeper.rest()
        self.engine.reader.rest()
        give_back()

    def _revive(self) -> None:
        kinds = self.engine.keeper.write(
            lambda c: jobs.revive(c, time.time(), after=FAILED_REST_SECONDS, codes=PASSING)
        )
        for kind in kinds:
            self.engine.desk.ring(kind)

    def _note_swept(self, tree: Tree) -> None:
        self.swept_at[tree.key] = time.time()
        self.engine.keeper.write(
            lambda c: workflows.note_timer(c, f"sweep.{tree.key}", time.time())
        )
