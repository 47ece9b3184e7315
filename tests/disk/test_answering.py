"""Asking disks that may never answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from comfywatchman.disk.answering import Answering, LeftBehind, Silent

LIMIT = 10.0


@pytest.fixture
def door() -> Iterator[threading.Event]:
    """Holds up a question until it is set; set at the end, so that no thread stays."""
    door = threading.Event()
    yield door
    door.set()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_an_answer_is_returned_and_an_error_raised() -> None:
    answering = Answering()

    def fail(_beat: Callable[[], None]) -> int:
        raise FileNotFoundError("/gone")

    assert answering.ask("/a", lambda _beat: 5) == 5
    with pytest.raises(FileNotFoundError):
        answering.ask("/a", fail)
    assert answering.silent() == frozenset()


def test_a_question_that_hangs_is_left_behind_and_the_next_is_not_even_asked(
    door: threading.Event,
) -> None:
    answering = Answering(0.1)
    with pytest.raises(Silent):
        answering.ask("/a", lambda _beat: door.wait())
    began = time.monotonic()
    with pytest.raises(Silent):
        answering.ask("/a", lambda _beat: True)

    assert time.monotonic() - began < 0.1
    assert answering.silent() == {"/a"}
    assert answering.ask("/b", lambda _beat: 5) == 5


def test_who_was_left_behind_and_came_back_may_be_asked_again(door: threading.Event) -> None:
    answering = Answering(0.1)
    with pytest.raises(Silent):
        answering.ask("/a", lambda _beat: door.wait())
    door.set()
    until(lambda: not answering.silent())

    assert answering.ask("/a", lambda _beat: 5) == 5


def test_a_question_that_goes_on_is_waited_for(door: threading.Event) -> None:
    def slow(beat: Callable[[], None]) -> int:
        for _ in range(6):
            door.wait(0.1)
            beat()
        return 5

    assert Answering(0.3).ask("/a", slow) == 5


def test_who_was_left_behind_may_not_do_anything_more(door: threading.Event) -> None:
    ended: list[BaseException] = []

    def late(beat: Callable[[], None]) -> None:
        door.wait()
        try:
            beat()
        except LeftBehind as error:
            ended.append(error)
            raise

    answering = Answering(0.1)
    with pytest.raises(Silent):
        answering.ask("/a", late)
    door.set()
    until(lambda: bool(ended))
    until(lambda: not answering.silent())
