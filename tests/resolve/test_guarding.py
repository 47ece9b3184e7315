"""Backends of other people: what stands around them, and not in them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest

from comfywatchman.domain.candidates import Candidate, Wanted
from comfywatchman.domain.errors import RateLimited, SourceUnavailable, WatchmanError, WrongAnswer
from comfywatchman.domain.messages import SearchAsked
from comfywatchman.resolve.backend import ask
from comfywatchman.resolve.guarding import KEPT_SECONDS, Guarded

OFFER = Candidate("theirs", "https://x.example/a.safetensors", "a.safetensors", evidence=("x.",))


def wanted(name: str = "a.safetensors") -> Wanted:
    return Wanted("loras", name)


class Theirs:
    name = "theirs"

    def __init__(self, search: Callable[[], Sequence[Candidate]]) -> None:
        self.answer = search
        self.calls = 0

    def search(self, wanted: Wanted) -> Sequence[Candidate]:
        self.calls += 1
        return self.answer()


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def failing(error: BaseException) -> Callable[[], Sequence[Candidate]]:
    def search() -> Sequence[Candidate]:
        raise error

    return search


def test_a_backend_that_hangs_is_given_up_and_not_asked_before_it_comes_back() -> None:
    go_on = threading.Event()

    def search() -> Sequence[Candidate]:
        go_on.wait(60)
        return [OFFER]

    theirs = Theirs(search)
    guarded = Guarded(theirs, answer_seconds=0.1)
    for _ in range(3):
        with pytest.raises(SourceUnavailable, match="answered"):
            guarded.search(wanted())

    assert theirs.calls == 1
    (hanging,) = [t for t in threading.enumerate() if t.name == "backend-theirs"]
    go_on.set()
    hanging.join(10)
    assert list(guarded.search(wanted())) == [OFFER]
    assert theirs.calls == 2


def test_the_others_are_asked_while_it_hangs() -> None:
    never = threading.Event()

    def search() -> Sequence[Candidate]:
        never.wait(60)
        return []

    hanging = Guarded(Theirs(search), answer_seconds=0.1)
    good = Guarded(Theirs(lambda: [OFFER]))
    told: list[SearchAsked] = []
    offers = ask([hanging, good], wanted(), told.append)

    assert list(offers) == [OFFER]
    assert not offers.complete
    assert [event.result for event in told] == ["unavailable", "answered"]
    never.set()


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_what_would_end_a_program_ends_its_own_answer(error: BaseException) -> None:
    with pytest.raises(WrongAnswer, match="ended itself"):
        Guarded(Theirs(failing(error))).search(wanted())


def test_one_that_fails_again_and_again_is_left_alone_for_a_while() -> None:
    clock = Clock()
    theirs = Theirs(failing(SourceUnavailable("down", remedy="")))
    guarded = Guarded(theirs, clock=clock)
    for _ in range(12):
        clock.now += 1
        with pytest.raises(WatchmanError):
            guarded.search(wanted())

    assert theirs.calls == 5
    clock.now += 400
    with pytest.raises(SourceUnavailable):
        guarded.search(wanted())
    assert theirs.calls == 6


def test_one_that_asks_for_time_gets_it() -> None:
    clock = Clock()
    theirs = Theirs(failing(RateLimited("slow", remedy="", retry_after=200)))
    guarded = Guarded(theirs, clock=clock)
    for _ in range(3):
        with pytest.raises(RateLimited):
            guarded.search(wanted())

    assert theirs.calls == 1


def test_an_offer_is_kept_for_a_while_and_nothing_is_not() -> None:
    clock = Clock()
    theirs = Theirs(lambda: [OFFER])
    guarded = Guarded(theirs, clock=clock)
    assert list(guarded.search(wanted())) == list(guarded.search(wanted())) == [OFFER]
    assert theirs.calls == 1
    clock.now += KEPT_SECONDS
    guarded.search(wanted())
    assert theirs.calls == 2
    nothing = Theirs(list)
    empty = Guarded(nothing, clock=clock)
    clock.now += 1
    assert list(empty.search(wanted())) == []
    clock.now += 1
    assert list(empty.search(wanted())) == []
    assert nothing.calls == 2


def test_it_is_not_asked_more_often_than_a_hub() -> None:
    theirs = Theirs(list)
    guarded = Guarded(theirs, answer_seconds=30)
    import time

    started = time.monotonic()
    for number in range(7):
        guarded.search(wanted(f"{number}.safetensors"))

    assert theirs.calls == 7
    assert time.monotonic() - started > 0.9
