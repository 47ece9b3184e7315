"""sd_notify over real sockets, and what the watchdog is fed for."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

import pytest

from comfywatchman.daemon.notifying import ServiceManager
from comfywatchman.daemon.pulse import DOORS, Pulse, waits
from comfywatchman.daemon.tending import GIVEN_UP_SECONDS, START_SECONDS, Tending


@dataclass
class Manager:
    """The other end of NOTIFY_SOCKET."""

    receiver: socket.socket
    address: str

    def heard(self) -> list[str]:
        """Return every field that was sent since the last call."""
        found: list[str] = []
        while True:
            try:
                found += self.receiver.recv(4096).decode().split("\n")
            except BlockingIOError:
                return found


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    name = str(tmp_path / "notify")
    if request.param == "abstract":
        name = "@" + name
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(name.replace("@", "\0"))
        receiver.setblocking(False)
        yield Manager(receiver, name)


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def of(address: str, **more: str) -> ServiceManager:
    return ServiceManager.of({"NOTIFY_SOCKET": address, **more})


def test_what_is_told_arrives_as_sd_notify_has_it(manager: Manager) -> None:
    told = of(manager.address)
    told.ready()
    told.reloading()
    told.status("two\nlines  and more")
    told.extend(1.5)
    told.stopping()

    ready, reloading, at, status, extend, stopping = manager.heard()
    assert (ready, reloading, stopping) == ("READY=1", "RELOADING=1", "STOPPING=1")
    assert at.startswith("MONOTONIC_USEC=")
    assert status == "STATUS=two lines and more"
    assert extend == "EXTEND_TIMEOUT_USEC=1500000"


@pytest.mark.parametrize("address", ["", "vsock:2:1", "/nowhere/at/all", "@nobody-listens-here"])
def test_a_manager_that_cannot_be_told_stops_nothing(address: str) -> None:
    assert of(address).tell("READY=1") is False


def test_the_watchdog_is_ours_only_if_it_names_us() -> None:
    mine = {"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}

    assert of("/run/x", **mine).watchdog_seconds == 60
    assert of("/run/x", **(mine | {"WATCHDOG_PID": "1"})).watchdog_seconds is None
    assert of("/run/x", WATCHDOG_USEC="soon").watchdog_seconds is None


# -- who is alive


@dataclass
class Crew:
    """Threads that wait where they are told to, until the end of the test."""

    over: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    def hire(self, name: str, work: Callable[[], object]) -> None:
        begun = threading.Event()

        def run() -> None:
            begun.set()
            work()

        thread = threading.Thread(target=run, name=name, daemon=True)
        self.threads.append(thread)
        thread.start()
        begun.wait(10)

    def signs(self) -> Mapping[str, tuple[bool, float]]:
        return {thread.name: (thread.is_alive(), 1.0) for thread in self.threads}

    def compute(self) -> None:
        while not self.over.is_set():
            sum(range(10_000))


@pytest.fixture
def crew() -> Iterator[Crew]:
    found = Crew()
    yield found
    found.over.set()
    for thread in found.threads:
        thread.join(10)


class Desk:
    """Waits as the real one does, and so stands at its door."""

    def __init__(self) -> None:
        self.bell: SimpleQueue[None] = SimpleQueue()

    def wait(self) -> None:
        self.bell.get()


@contextmanager
def looked_at(crew: Crew, seconds: float = 200.0) -> Iterator[list[str]]:
    """Yield what is found by a look that comes *seconds* after the first one."""
    clock = Clock()
    pulse = Pulse(clock=clock)
    assert settled(lambda: pulse.troubled(crew.signs()) == [])
    # Threads need a moment to come to rest where they wait.
    for _ in range(50):
        pulse.troubled(crew.signs())
        crew.over.wait(0.01)
    clock.now += seconds
    yield pulse.troubled(crew.signs())


def settled(look: Callable[[], bool]) -> bool:
    return any(look() for _ in range(1000))


linux = pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="only Linux tells what a thread used"
)


@linux
def test_a_thread_that_neither_works_nor_waits_for_work_is_stuck(crew: Crew) -> None:
    crew.hire("deadlocked", crew.over.wait)
    with looked_at(crew) as found:
        crew.over.set()

    assert found == ["deadlocked has been stuck for 200 s"]


@linux
def test_a_thread_that_waits_for_work_is_well(crew: Crew) -> None:
    desk = Desk()
    crew.hire("idle", desk.wait)
    with looked_at(crew) as found:
        desk.bell.put(None)

    assert found == []


@linux
def test_a_thread_that_computes_for_long_is_well(crew: Crew) -> None:
    crew.hire("busy", crew.compute)
    with looked_at(crew) as found:
        crew.over.set()

    assert found == []


@linux
def test_no_wait_of_an_answer_counts_as_stuck_before_its_time(crew: Crew) -> None:
    crew.hire("asking", crew.over.wait)
    with looked_at(crew, 121.0) as found:
        crew.over.set()

    assert found == []


def test_a_thread_that_ended_is_found_at_once(crew: Crew) -> None:
    crew.hire("gone", lambda: None)
    crew.threads[0].join(10)

    assert Pulse().troubled(crew.signs()) == ["gone has ended"]


def test_every_door_is_a_function_of_ours_or_of_a_library() -> None:
    """A function that is renamed would make an idle thread look stuck."""
    import inspect
    from concurrent.futures.thread import _worker
    from selectors import EpollSelector

    from apscheduler.schedulers.blocking import BlockingScheduler

    from comfywatchman.daemon.easing import Easing
    from comfywatchman.daemon.measuring import Measuring
    from comfywatchman.daemon.nodes import Nodes
    from comfywatchman.daemon.notices.courier import Courier
    from comfywatchman.daemon.readers.brakes import Gate
    from comfywatchman.daemon.readers.lanes import Lane
    from comfywatchman.daemon.readers.neighbors import Neighbors
    from comfywatchman.daemon.readers.yielding import Yielding
    from comfywatchman.daemon.run import Signals
    from comfywatchman.daemon.scrubbing import Scrubbing
    from comfywatchman.daemon.sweeps import Sweeps
    from comfywatchman.daemon.timers import Timers
    from comfywatchman.daemon.watching import Watching
    from comfywatchman.download.pace import Bandwidth
    from comfywatchman.net.manners import Manners
    from comfywatchman.pipeline.desk import Desk as RealDesk

    places = (
        Measuring,
        Nodes,
        Gate,
        Lane,
        Signals,
        Scrubbing,
        Sweeps,
        Watching,
        Bandwidth,
        Courier,
        Neighbors,
        Yielding,
        Easing,
        Timers,
        EpollSelector,
    )
    functions = {
        each.__qualname__
        for place in (*places, Manners, RealDesk, BlockingScheduler)
        for _, each in inspect.getmembers(place, inspect.isfunction)
    }

    assert functions | {_worker.__qualname__} >= DOORS


def test_what_is_done_behind_a_door_is_no_waiting() -> None:
    import sys

    class Sweeps:
        def _next(self) -> bool:
            return self.work()

        def work(self) -> bool:
            return waits(sys._getframe())

    assert Sweeps()._next() is False


# -- what is told of it


@dataclass
class Stage:
    tending: Tending
    clock: Clock
    signs: dict[str, tuple[bool, float]]


@pytest.fixture
def stage(manager: Manager) -> Stage:
    clock = Clock()
    signs = {threading.current_thread().name: (True, 0.0)}
    tending = Tending(of(manager.address, WATCHDOG_USEC="180000000"), clock=clock)
    tending.signs = lambda: signs
    tending.describe = lambda: "3 workflows"
    return Stage(tending, clock, signs)


def test_before_it_is_ready_more_time_is_asked_for_but_not_for_ever(
    stage: Stage, manager: Manager
) -> None:
    stage.tending.look()
    stage.clock.now += START_SECONDS
    stage.tending.look()

    assert manager.heard() == ["EXTEND_TIMEOUT_USEC=60000000", "STATUS=3 workflows"]


def test_the_watchdog_is_fed_while_every_thread_lives(stage: Stage, manager: Manager) -> None:
    stage.tending.ready()
    stage.tending.look()
    stage.signs["settle"] = (False, 0.0)
    stage.tending.look()
    stage.tending.look()
    del stage.signs["settle"]
    stage.tending.look()

    assert manager.heard() == ["READY=1", "WATCHDOG=1", "STATUS=3 workflows", "WATCHDOG=1"]


def test_a_status_is_told_again_only_when_it_changed(stage: Stage, manager: Manager) -> None:
    stage.tending.ready()
    stage.tending.look()
    stage.tending.describe = lambda: "4 workflows"
    stage.tending.look()

    assert [each for each in manager.heard() if each.startswith("STATUS")] == [
        "STATUS=3 workflows",
        "STATUS=4 workflows",
    ]


def test_under_launchd_which_has_no_watchdog_we_end_ourselves() -> None:
    clock, ended = Clock(), SimpleQueue[None]()
    signs = {"settle": (False, 0.0)}
    tending = Tending(ServiceManager(), True, lambda: signs, clock=clock)
    tending.end = lambda: ended.put(None)
    tending.ready()
    tending.look()
    early = ended.qsize()
    clock.now += GIVEN_UP_SECONDS + 1
    tending.look()

    assert (early, ended.qsize()) == (0, 1)


def test_where_nobody_listens_threads_are_looked_after_all_the_same() -> None:
    """As in a container: the probes and the metrics ask what was found."""
    signs = {"settle": (False, 0.0)}
    tending = Tending(ServiceManager(), signs=lambda: signs)
    tending.ready()
    tending.look()
    once = tending.troubled()
    tending.look()
    twice = tending.troubled()
    signs.clear()
    tending.look()

    assert once == {}, "threads also end because they are told to"
    assert twice == {"settle": "settle has ended"}
    assert tending.troubled() == {}
