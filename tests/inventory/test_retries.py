from __future__ import annotations

from pathlib import Path

from comfywatchman.inventory.retries import DELAYS, LATER, Retries

FILE = Path("/models/a")
NEWS = 100.0


def test_a_file_that_never_failed_may_be_read() -> None:
    assert Retries().ready(FILE, NEWS, now=0)


def test_a_file_is_tried_again_after_one_five_and_thirty_seconds_and_then_rarely() -> None:
    retries, now, pauses = Retries(), 0.0, []
    for _ in range(len(DELAYS) + 2):
        retries.failed(FILE, NEWS, now)
        due = retries.next_due(now)
        assert due is not None
        assert not retries.ready(FILE, NEWS, due - 0.01)
        assert retries.ready(FILE, NEWS, due)
        pauses.append(due - now)
        now = due

    assert pauses == [1.0, 5.0, 30.0, LATER, LATER]


def test_news_of_the_file_end_the_waiting_and_the_count_begins_anew() -> None:
    retries = Retries()
    for _ in DELAYS:
        retries.failed(FILE, NEWS, now=0)

    assert retries.ready(FILE, NEWS + 1, now=0)
    retries.failed(FILE, NEWS + 1, now=0)
    assert retries.next_due(0) == DELAYS[0]


def test_to_wait_for_a_stamp_is_no_failure() -> None:
    retries = Retries()
    retries.defer(FILE, NEWS, due=2.0)
    assert not retries.ready(FILE, NEWS, now=1.9)

    retries.failed(FILE, NEWS, now=2.0)
    assert retries.next_due(2.0) == 2.0 + DELAYS[0]


def test_a_file_that_was_measured_is_forgotten() -> None:
    retries = Retries()
    retries.failed(FILE, NEWS, now=0)
    retries.passed(FILE)

    assert retries.next_due(0) is None
    assert retries.waiting() == 0


def test_a_file_that_nobody_asks_for_any_more_is_forgotten_in_time() -> None:
    retries = Retries()
    retries.failed(FILE, NEWS, now=0)
    retries.failed(Path("/models/b"), NEWS, now=LATER)
    retries.tidy(LATER + 2)

    assert retries.waiting() == 1
