"""What failed its checks, and the day it goes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from comfywatchman.domain.files import Folder, Folders
from comfywatchman.place import Target, plan, quarantine, remove_quarantined, staged

DAY = 86_400.0


@pytest.fixture
def target(tmp_path: Path) -> Target:
    loras = tmp_path / "models" / "loras"
    loras.mkdir(parents=True)
    table = {"loras": Folder("loras", (loras,), write_root=loras)}
    return plan(Folders(tmp_path, tmp_path / "models", table), "loras", "x.safetensors", "a-hash")


def put_aside(target: Target, days_ago: float = 0.0) -> Path:
    with staged(target) as part:
        part.append(b"bad")
        kept = quarantine(part, "the hash is wrong")
    then = time.time() - days_ago * DAY
    os.utime(f"{kept}.txt", (then, then))
    return kept


def test_what_was_put_aside_long_ago_goes_with_its_note(target: Target) -> None:
    old, new = put_aside(target, days_ago=31), put_aside(target, days_ago=29)

    assert remove_quarantined(new.parent, 30 * DAY) == [old]
    assert sorted(path.name for path in new.parent.iterdir()) == [new.name, f"{new.name}.txt"]


def test_the_directory_goes_with_the_last_of_its_files(target: Target) -> None:
    old = put_aside(target, days_ago=31)

    remove_quarantined(old.parent, 30 * DAY)

    assert not old.parent.exists()
    assert remove_quarantined(old.parent, 30 * DAY) == []


@pytest.mark.parametrize(
    "theirs", ["note.txt", "model.safetensors", "x.safetensors.0123456789ab.part", ".hidden"]
)
def test_what_somebody_else_put_there_stays(target: Target, theirs: str) -> None:
    old = put_aside(target, days_ago=31)
    other = old.parent / theirs
    other.write_bytes(b"theirs")
    os.utime(other, (1, 1))

    remove_quarantined(old.parent, 30 * DAY)

    assert other.read_bytes() == b"theirs"
    assert not old.exists()


def test_a_name_of_ours_that_is_a_link_or_has_another_name_stays(
    target: Target, tmp_path: Path
) -> None:
    linked, second = put_aside(target, days_ago=31), put_aside(target, days_ago=31)
    theirs = tmp_path / "theirs"
    theirs.write_bytes(b"theirs")
    linked.unlink()
    linked.symlink_to(theirs)
    (tmp_path / "kept").hardlink_to(second)

    assert remove_quarantined(second.parent, 30 * DAY) == []
    assert theirs.read_bytes() == b"theirs"
    assert second.exists()


def test_a_quarantine_that_is_a_link_is_not_looked_into(target: Target, tmp_path: Path) -> None:
    old = put_aside(target, days_ago=31)
    elsewhere = tmp_path / "elsewhere"
    old.parent.rename(elsewhere)
    old.parent.symlink_to(elsewhere)

    remove_quarantined(old.parent, 30 * DAY)

    assert (elsewhere / old.name).exists()
