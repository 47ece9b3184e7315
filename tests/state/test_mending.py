"""A damaged database at the start: 6 of 6 kinds of damage without anybody's hands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from comfywatchman.domain.errors import StateUnusable
from comfywatchman.state import store
from comfywatchman.state.mending import mend
from tests.state.known_state import count, made

PAGE = 4096


def with_a_flipped_bit(data: bytes) -> bytes:
    at = data.rindex(b"chosen-30")
    return data[:at] + b"X" + data[at + 1 :]


def with_a_page_of_zeros(data: bytes) -> bytes:
    at = data.index(b"chosen-30") // PAGE * PAGE
    return data[:at] + bytes(PAGE) + data[at + PAGE :]


def with_a_page_of_something(data: bytes) -> bytes:
    at = data.index(b"chosen-30") // PAGE * PAGE
    return data[:at] + b"\xa5" * PAGE + data[at + PAGE :]


def cut_in_half(data: bytes) -> bytes:
    return data[: len(data) // 2 // PAGE * PAGE]


def with_zeros_at_its_beginning(data: bytes) -> bytes:
    return bytes(PAGE) + data[PAGE:]


def cut_within_a_page(data: bytes) -> bytes:
    return data[:-1000]


@pytest.mark.parametrize(
    ("damage", "saved"),
    [
        (with_a_flipped_bit, 59),
        (with_a_page_of_zeros, 1),
        (with_a_page_of_something, 1),
        (cut_in_half, 0),
        (with_zeros_at_its_beginning, 0),
        (cut_within_a_page, 0),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_it_is_replaced_and_what_can_be_read_is_saved(
    tmp_path: Path, damage: Callable[[bytes], bytes], saved: int
) -> None:
    database = made(tmp_path, *range(1, 60))
    damaged = damage(database.read_bytes())
    database.write_bytes(damaged)

    mended = mend(tmp_path)

    assert mended is not None
    assert mended.aside.read_bytes() == damaged
    assert mended.saved.stat().st_mode & 0o777 == 0o600
    assert str(mended.saved) in mended.trouble().cause
    assert mend(tmp_path) is None
    store.open_keeper(tmp_path).close()
    assert count(database, "placements") >= saved
    assert count(database, "models") == 0  # measured again: nobody knows whether it was true


def test_a_sound_one_is_left_alone(tmp_path: Path) -> None:
    database = made(tmp_path, 1)
    before = database.read_bytes()

    assert mend(tmp_path) is None
    assert mend(tmp_path / "nothing") is None
    assert database.read_bytes() == before


def test_what_is_another_program_s_is_not_touched(tmp_path: Path) -> None:
    database = store.database_path(tmp_path)
    database.write_bytes(b"something else" * 1000)

    assert mend(tmp_path) is None
    with pytest.raises(StateUnusable):
        store.open_keeper(tmp_path)
    assert database.read_bytes() == b"something else" * 1000
