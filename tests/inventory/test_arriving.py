"""Whether more may come of a file that is not all there."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from comfywatchman.disk.files import look
from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.files import Stamp
from comfywatchman.inventory import examine_model, is_at_rest, may_still_arrive
from comfywatchman.inventory.arriving import FRESH_SECONDS
from comfywatchman.inventory.names import COMPANIONS
from tests.pipeline.office import model_bytes

CUT = Trouble("model-incomplete", "It is cut.", "Wait.")
PAGE = Trouble("verification-failed", "It is a web page.", "Remove it.")
HOUR_NS = 3600 * 10**9


def stamp_of(path: Path) -> Stamp:
    found = look(path)
    assert found is not None
    return found


@pytest.fixture
def cut(tmp_path: Path) -> Path:
    """Return a file that nobody has written to for an hour."""
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"half")
    os.utime(path, (time.time() - 3600, time.time() - 3600))
    return path


def test_a_short_file_may_grow_only_while_it_was_written_to_lately(cut: Path) -> None:
    old = stamp_of(cut)
    new = replace(old, mtime_ns=time.time_ns())

    assert may_still_arrive(cut, new, CUT)
    assert not may_still_arrive(cut, old, CUT)
    assert not may_still_arrive(cut, new, CUT, patience=0)


def test_a_web_page_becomes_no_model_however_new_it_is(cut: Path) -> None:
    assert not may_still_arrive(cut, replace(stamp_of(cut), mtime_ns=time.time_ns()), PAGE)


def test_a_time_in_the_future_is_no_proof_of_a_writer(cut: Path) -> None:
    old = time.time_ns() - HOUR_NS
    ahead = replace(stamp_of(cut), mtime_ns=time.time_ns() + HOUR_NS, ctime_ns=old)

    assert not may_still_arrive(cut, ahead, CUT)


@pytest.mark.parametrize("suffix", COMPANIONS)
def test_a_companion_beside_it_says_that_it_is_being_fetched(cut: Path, suffix: str) -> None:
    Path(f"{cut}{suffix}").touch()

    assert may_still_arrive(cut, stamp_of(cut), CUT)
    assert not is_at_rest(cut, stamp_of(cut))


@pytest.mark.parametrize("suffix", COMPANIONS)
def test_a_companion_that_was_left_behind_days_ago_keeps_no_model_away(
    tmp_path: Path, suffix: str
) -> None:
    path, long_ago = tmp_path / "x.safetensors", time.time() - 2 * FRESH_SECONDS
    beside = Path(f"{path}{suffix}")
    path.write_bytes(model_bytes())
    beside.touch()
    os.utime(beside, (long_ago, long_ago))

    assert not examine_model(path).whole  # the file itself was written to just now
    os.utime(path, (long_ago, long_ago))
    assert examine_model(path).whole
    beside.touch()
    assert not examine_model(path).whole


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody can tell")
def test_whoever_has_it_open_for_writing_may_write_more(cut: Path) -> None:
    stamp = stamp_of(cut)

    with cut.open("r+b"):
        assert may_still_arrive(cut, stamp, CUT)
        assert may_still_arrive(cut, stamp, PAGE)
        assert not is_at_rest(cut, stamp)
    assert not may_still_arrive(cut, stamp, CUT)
    assert is_at_rest(cut, stamp)


def test_a_file_that_is_mostly_holes_is_in_trouble(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    with path.open("wb") as file:
        file.write(b"\x80\x02begins well")
        file.truncate(8_000_000)
    if path.stat().st_blocks * 512 > 4_000_000:
        pytest.skip("this file system has no holes")

    seen = examine_model(path)

    assert not seen.whole
    assert seen.trouble is not None
    assert seen.trouble.code == "model-incomplete"
