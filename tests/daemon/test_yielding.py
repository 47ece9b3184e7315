"""ComfyUI's prompt comes first, also where ComfyUI is too busy to say so."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from comfywatchman.daemon.measuring import Manner
from comfywatchman.daemon.readers.brakes import Gate
from comfywatchman.daemon.readers.yielding import LONGEST_SILENCE, Works, Yielding
from comfywatchman.domain.files import Folders
from comfywatchman.state.keeper import Keeper, Reader
from tests.daemon.bench import LIMIT, MIB, Bench, wait_for


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def says(*answers: bool | None) -> Iterator[bool | None]:
    yield from answers
    while True:
        yield answers[-1]


@pytest.mark.parametrize("before", [True, False, None])
def test_silence_is_taken_for_work_but_not_for_ever(before: bool | None) -> None:
    clock, said = Clock(), says(before, None)
    works = Works(lambda: next(said), clock)
    works.ask()
    for clock.now in (3.0, 60.0, LONGEST_SILENCE - 1):
        assert works.ask()
    clock.now = LONGEST_SILENCE + 3.0

    assert not works.ask()


def test_a_word_ends_the_silence_and_a_new_one_counts_from_its_beginning() -> None:
    clock, said = Clock(), says(None, None, False, None)
    works = Works(lambda: next(said), clock)
    works.ask()
    clock.now = LONGEST_SILENCE
    assert not works.ask()
    assert not works.ask()

    assert works.ask()


def test_the_door_stays_shut_while_nothing_is_answered_and_opens_at_an_idle_word() -> None:
    answers: list[bool | None] = [True]
    asked = threading.Semaphore(0)

    def runs_prompt() -> bool | None:
        asked.release()
        return answers[0]

    gate, stop = Gate(), threading.Event()
    thread = Yielding(runs_prompt, gate, stop, poll_seconds=0.01)
    thread.start()
    thread.needed(now=True)
    try:
        wait_for(lambda: gate.closed)
        answers[0] = None
        for _ in range(20):
            assert asked.acquire(timeout=LIMIT)
            assert gate.closed
        answers[0] = False
        wait_for(lambda: not gate.closed)
    finally:
        stop.set()
        thread.end()
        thread.join(LIMIT)


def test_a_comfyui_that_falls_silent_over_a_prompt_holds_measuring_up(
    keeper: Keeper, reader: Reader, folders: Folders
) -> None:
    said: list[bool | None] = [None]
    bench = Bench(keeper, reader, folders)
    path = bench.put("loras/a.pt", 40 * MIB)
    with bench.running(Manner(runs_prompt=lambda: said[0])) as index:
        wait_for(lambda: index.standing().paused)
        assert bench.measured() == []
        said[0] = False
        bench.indexed(path)
