from __future__ import annotations

import threading
import time

from comfywatchman.pipeline.halting import Halt, Halts


def never() -> None:
    return None


def test_a_transfer_stops_when_everything_does() -> None:
    everything = threading.Event()
    halt = Halt(everything, never)
    before = halt.is_set()
    everything.set()

    assert (before, halt.is_set(), halt.why) == (False, True, None)


def test_one_transfer_stops_and_the_others_go_on() -> None:
    everything, halts = threading.Event(), Halts()
    first, second = Halt(everything, never), Halt(everything, never)
    with halts.over(1, first), halts.over(2, second):
        halts.cancel(1)
        halts.cancel(3)

    assert (first.is_set(), first.why) == (True, "canceled")
    assert not second.is_set()
    halts.cancel(2)  # it has ended
    assert not second.is_set()


def test_whether_there_is_a_reason_to_stop_is_asked_about_once_a_second() -> None:
    asked: list[float] = []

    def ask() -> str | None:
        asked.append(time.monotonic())
        return "hours" if len(asked) == 2 else None

    halt = Halt(threading.Event(), ask)
    began = time.monotonic()
    while not halt.is_set():
        assert time.monotonic() - began < 20

    assert halt.why == "hours"
    assert len(asked) == 2
    assert asked[0] - began >= 0.9


def test_a_wait_ends_with_the_transfer_or_with_its_time() -> None:
    everything = threading.Event()
    halt = Halt(everything, never)
    began = time.monotonic()
    in_vain = halt.wait(0.2)
    threading.Timer(0.2, everything.set).start()

    assert (in_vain, halt.wait(20)) == (False, True)
    assert time.monotonic() - began < 10
