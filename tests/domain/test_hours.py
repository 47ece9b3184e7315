from __future__ import annotations

import pytest

from comfywatchman.domain.hours import DAY, Hours, are_open, minutes_to_change


def at(text: str) -> int:
    hour, minute = text.split(":")
    return int(hour) * 60 + int(minute)


@pytest.mark.parametrize(
    ("window", "time", "inside"),
    [
        ("22:00-07:00", "21:59", False),
        ("22:00-07:00", "22:00", True),
        ("22:00-07:00", "00:00", True),
        ("22:00-07:00", "06:59", True),
        ("22:00-07:00", "07:00", False),
        ("09:30-17:00", "09:29", False),
        ("09:30-17:00", "12:00", True),
        ("09:30-17:00", "17:00", False),
        ("18:00-24:00", "23:59", True),
        ("18:00-24:00", "00:00", False),
        ("00:00-06:00", "00:00", True),
    ],
)
def test_hours_may_go_past_midnight(window: str, time: str, inside: bool) -> None:
    assert Hours.read(window).hold(at(time)) is inside


@pytest.mark.parametrize(
    "text", ["", "22:00", "22-07", "25:00-07:00", "22:60-07:00", "10:00-10:00", "24:00-07:00", "x"]
)
def test_what_are_no_hours_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="hours"):
        Hours.read(text)


def test_without_any_hours_it_is_always_open() -> None:
    assert are_open([], 0)
    assert minutes_to_change([], 0) is None


def test_the_next_change_is_known() -> None:
    windows = [Hours.read("22:00-07:00"), Hours.read("12:00-13:00")]

    assert minutes_to_change(windows, at("11:00")) == 60
    assert minutes_to_change(windows, at("12:30")) == 30
    assert minutes_to_change(windows, at("13:00")) == 9 * 60
    assert minutes_to_change(windows, at("23:00")) == 8 * 60


def test_hours_that_cover_the_day_never_change() -> None:
    windows = [Hours.read("00:00-12:00"), Hours.read("12:00-24:00")]

    assert all(are_open(windows, minute) for minute in range(DAY))
    assert minutes_to_change(windows, 0) is None


def test_hours_are_written_as_they_are_read() -> None:
    assert str(Hours.read(" 9:05 - 17:00 ")) == "09:05-17:00"
