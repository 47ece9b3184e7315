from __future__ import annotations

import pytest

from comfywatchman.inventory.speed import Speed


def test_nobody_can_say_how_long_it_takes_before_anything_was_read() -> None:
    speed = Speed()
    speed.note(0.0, 0)

    assert speed.bytes_per_second == 0.0
    assert speed.remaining(1000) is None


def test_the_speed_is_that_of_the_last_minute() -> None:
    speed = Speed()
    for second in range(200):
        speed.note(float(second), second * 10 if second < 100 else 1000 + (second - 100) * 50)

    assert speed.bytes_per_second == pytest.approx(50)
    assert speed.remaining(500) == pytest.approx(10)


def test_the_time_of_a_pause_is_not_counted() -> None:
    speed = Speed()
    for second in range(10):
        speed.note(float(second), second * 10)
    speed.pause()
    speed.note(1000.0, 90)
    before = speed.bytes_per_second
    speed.note(1002.0, 110)

    assert before == pytest.approx(10)
    assert speed.bytes_per_second == pytest.approx(10)
