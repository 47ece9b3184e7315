"""The thread that keeps the service manager informed: alive, what it does, how long it takes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from comfywatchman.daemon.notifying import ServiceManager
from comfywatchman.daemon.pulse import HUNG_SECONDS, Pulse, Signs

LOOK_SECONDS = 10.0
"""Between two looks; sooner where the watchdog is shorter than four of them."""

START_SECONDS = 900.0
"""How long a start may take, such as one that brings a large database to a new version."""
_EXTENSION_SECONDS = 60.0

GIVEN_UP_SECONDS = 60.0
"""How long a thread may be gone before we end ourselves, where nobody else would."""


@dataclass(slots=True)
class Tending:
    """Told by the main thread how far it is; what it says itself comes from a thread of its own.

    Before `ready` it asks for more time, as long as the start takes no longer than
    `START_SECONDS`: a manager ends whoever is late, in the middle of a migration too. Afterwards it
    feeds the watchdog, but only while each thread is seen to live and to get on. Where nobody
    listens, as in a container, it looks all the same: the probes and the metrics tell.
    """

    manager: ServiceManager
    supervises: bool = False
    """Whether we end ourselves where a watchdog would: launchd has none."""
    signs: Callable[[], Signs] = dict
    """Every thread that has to live now."""
    describe: Callable[[], str] = str
    """One line for people: what is being done."""
    clock: Callable[[], float] = time.monotonic
    end: Callable[[], None] = os.abort
    """Ends the process, with the stacks of all threads told."""
    pulse: Pulse = field(init=False)
    _ready: threading.Event = field(default_factory=threading.Event)
    _ended: threading.Event = field(default_factory=threading.Event)
    _news: threading.Event = field(default_factory=threading.Event)
    """Something happened that is worth a look before the next one is due."""
    _began: float = field(init=False)
    _found: frozenset[str] = frozenset()
    """Names of the threads that had ended or were stuck at the last look."""
    _told: frozenset[str] = frozenset()
    """Those that were complained about last."""
    _troubled: Mapping[str, str] = field(default_factory=dict)
    _shown: str = ""
    _well_at: float = field(init=False)
    """When every thread was last seen to live, on our clock."""

    def __post_init__(self) -> None:
        limit = self.manager.watchdog_seconds
        self.pulse = Pulse(HUNG_SECONDS if limit is None else limit * 0.75, self.clock)
        self._began = self._well_at = self.clock()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Look after the threads, and keep the manager informed, meanwhile."""
        thread = threading.Thread(target=self._run, name="tending", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            self._news.set()
            thread.join(LOOK_SECONDS)

    def ready(self) -> None:
        self._ready.set()
        self.manager.ready()
        self._news.set()

    def reloading(self) -> None:
        """Tell that the settings are read again; to be followed by `ready`."""
        self.manager.reloading()

    def stopping(self) -> None:
        self._ready.set()  # no more time is asked for
        self.manager.stopping()

    def troubled(self) -> Mapping[str, str]:
        """Return each thread that two looks found ended or stuck, and what is said of it."""
        return self._troubled

    def look(self) -> None:
        """Do what is due now: feed, or say why not; show what is being done."""
        if not self._ready.is_set():
            if self.clock() - self._began < START_SECONDS:
                self.manager.extend(_EXTENSION_SECONDS)
        elif self._all_is_well():
            self._well_at = self.clock()
            self.manager.alive()
        elif self.supervises and self.clock() - self._well_at > GIVEN_UP_SECONDS:
            self.end()
        if not self.manager.listens:
            return
        line = self.describe()
        if line != self._shown:
            self._shown = line
            self.manager.status(line)

    def _run(self) -> None:
        watchdog = self.manager.watchdog_seconds
        pause = LOOK_SECONDS if watchdog is None else min(LOOK_SECONDS, watchdog / 4)
        while True:
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 - what is asked is being closed, or a bug
                structlog.get_logger("service").debug("service.look_failed", exc_info=error)
            self._news.wait(pause)
            self._news.clear()
            if self._ended.is_set():
                return

    def _all_is_well(self) -> bool:
        """Whether the watchdog may be fed.

        A complaint is logged once, and not before the second look that finds it: threads also end
        because they are told to.
        """
        found = self.pulse.troubled(self.signs())
        said_of = {said.split()[0]: said for said in found}
        before, self._found = self._found, frozenset(said_of)
        self._troubled = {name: said for name, said in said_of.items() if name in before}
        if self._found == before != self._told:
            self._told = self._found
            log = structlog.get_logger("service")
            if found:
                log.error("watchdog.withheld", threads=found)
            else:
                log.info("watchdog.resumed")
        return not found
