from __future__ import annotations

import os
from pathlib import Path

import pytest

from comfywatchman.comfyui.learned import FILE, Learned, keep_learned, read_learned

LINES = ("Fancy Loader -> loras 0:name file", "Other -> vae 1:vae_name file")


def test_what_was_learned_is_read_again(tmp_path: Path) -> None:
    learned = Learned(LINES, "0.3.64", 1000.5)

    keep_learned(tmp_path, learned)

    assert read_learned(tmp_path) == (learned, None)
    assert os.listdir(tmp_path) == [FILE]  # noqa: PTH208 - names


def test_where_nothing_was_learned_there_is_nothing_to_tell(tmp_path: Path) -> None:
    assert read_learned(tmp_path) == (Learned(), None)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b'{"version": 2, "lines": [], "server_version": "", "learned_at": 0}',
        b'{"version": 1, "lines": "x", "server_version": "", "learned_at": 0}',
        b"\xff\xfe\0",
        b"x" * 5_000_000,
    ],
)
def test_a_file_that_cannot_be_used_is_told_and_counts_as_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / FILE).write_bytes(data)

    learned, trouble = read_learned(tmp_path)

    assert learned == Learned()
    assert trouble is not None
    assert FILE in trouble.cause
    assert trouble.remedy


def test_new_lines_replace_those_of_their_node_type_and_leave_the_others() -> None:
    before = Learned(LINES, "0.3.0", 1.0)

    after = before.with_lines(["Other -> vae 2:vae_name file"], "0.4.0", 2.0)

    assert set(after.lines) == {LINES[0], "Other -> vae 2:vae_name file"}
    assert (after.server_version, after.learned_at) == ("0.4.0", 2.0)


def test_a_look_that_proves_nothing_takes_nothing_away() -> None:
    assert Learned(LINES).with_lines([], "0.4.0", 2.0).lines == LINES
