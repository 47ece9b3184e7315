"""Files that get other names, exchange them, or have several: what is known of them stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from comfywatchman.domain.files import Folders, Stamp
from comfywatchman.domain.messages import ModelFound, ModelMoved
from comfywatchman.state import hashes
from comfywatchman.watch.notice import Notice, Noticed
from tests.daemon.resting import Room, known_as_measured, measured, resting, sha256_of
from tests.pipeline.office import Office, put_model


@pytest.fixture
def room(office: Office, folders: Folders, tmp_path: Path) -> Room:
    return resting(office, folders, tmp_path)


@pytest.mark.parametrize(
    "told", ["", "changed", "overflow", "by way of a third name", "by, and written there"]
)
def test_a_rename_is_believed_if_the_kernel_told_of_it_and_of_nothing_else(
    room: Room, told: str
) -> None:
    before, after = room.models / "loras/x.safetensors", room.models / "vae/y.safetensors"
    measured(room, before)
    if told == "overflow":
        room.notice(room.models, Notice.OVERFLOW)
    after.parent.mkdir(exist_ok=True)
    before.rename(after)
    if told == "changed":
        room.notice(before)
    room.notice(before, Notice.REMOVED)
    if told.startswith("by"):
        room.notice(before.with_name("third.tmp"), Notice.MOVED_HERE)
        if "written" in told:
            room.notice(before.with_name("third.tmp"))
        room.notice(before.with_name("third.tmp"), Notice.REMOVED)
    (moved,) = (e for e in room.notice(after, Notice.MOVED_HERE) if isinstance(e, ModelMoved))

    believed = told in {"", "by way of a third name"}
    assert (moved.same_bytes, moved.proven) == (True, believed)


def test_a_sweep_that_meets_a_renamed_file_before_it_rests_is_no_news_of_a_write(
    room: Room,
) -> None:
    before, after = room.models / "loras/x.safetensors", room.models / "loras/y.safetensors"
    measured(room, before)
    before.rename(after)
    room.notice(before, Notice.REMOVED)
    room.watching._take(Noticed(after, Notice.MOVED_HERE))
    room.watching._take(Noticed(after, Notice.CHANGED, met=True))
    room.watching._hand_over()
    (moved,) = (e for e in room.office.told if isinstance(e, ModelMoved))

    assert moved.proven


def test_no_rename_is_believed_before_all_files_were_compared_with_their_rows(room: Room) -> None:
    before, after = room.models / "loras/x.safetensors", room.models / "loras/y.safetensors"
    measured(room, before)
    room.watching.compared = lambda: False
    before.rename(after)
    room.notice(before, Notice.REMOVED)
    (moved,) = (e for e in room.notice(after, Notice.MOVED_HERE) if isinstance(e, ModelMoved))

    assert not moved.proven


# -- other names of the same file


@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_what_is_written_through_one_name_is_news_of_every_name(room: Room, kind: str) -> None:
    path, other = room.models / "loras/a.safetensors", room.models / "vae/b.safetensors"
    put_model(path, os.urandom(200_000))
    other.parent.mkdir(exist_ok=True)
    if kind == "hard":
        other.hardlink_to(path)
    else:
        other.symlink_to(path)
    for name in (path, other):
        known_as_measured(room, name)
    with path.open("r+b") as file:
        file.write(b"other bytes")
    told = room.notice(path)

    assert {event.path for event in told if isinstance(event, ModelFound)} == {path, other}
    for name in (path, other):
        assert sha256_of(room, name) is None


def test_a_new_hard_link_is_no_news_of_the_old_name(room: Room) -> None:
    path, other = room.models / "loras/a.safetensors", room.models / "loras/b.safetensors"
    measured(room, path)
    other.hardlink_to(path)
    told = room.notice(other)

    assert [event.path for event in told if isinstance(event, ModelFound)] == [other]
    assert sha256_of(room, path) is not None


def test_a_file_that_only_got_the_inode_of_another_says_nothing_of_that(room: Room) -> None:
    path, gone = room.models / "loras/a.safetensors", room.models / "loras/gone.safetensors"
    measured(room, path)
    seen = path.stat()
    stamp = Stamp(seen.st_dev, seen.st_ino, 1000, 1, 1)
    room.office.happens(ModelFound(gone, 1000, whole=True, stamp=stamp))
    path.touch()

    assert [event.path for event in room.notice(path) if isinstance(event, ModelFound)] == [path]


# -- names that other files had


def test_a_rename_over_a_known_name_keeps_the_hash_of_the_file(room: Room) -> None:
    one, other = (room.models / f"loras/{name}.safetensors" for name in "ab")
    for path in (one, other):
        measured(room, path)
    digest = sha256_of(room, one)
    one.replace(other)
    room.notice(one, Notice.REMOVED)
    told = room.notice(other, Notice.MOVED_HERE)

    (moved,) = (event for event in told if isinstance(event, ModelMoved))
    assert (moved.before, moved.path, moved.proven) == (one, other, True)
    assert sha256_of(room, other) == digest
    assert room.office.reader.read(hashes.backlog) == (0, 0)


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("third", ["t.tmp", "t.safetensors"])
def test_two_files_that_exchange_their_names_keep_their_hashes(
    room: Room, third: str, at_once: bool
) -> None:
    digests = exchanged(room, third, at_once=at_once)

    assert [sha256_of(room, path) for path in digests] == list(digests.values())[::-1]
    assert room.office.reader.read(hashes.backlog) == (0, 0)


@pytest.mark.parametrize("which", ["a", "t"])
def test_of_two_files_that_exchange_their_names_one_that_was_written_is_measured(
    room: Room, which: str
) -> None:
    """The clock of the file was set back, and both ends are as they were."""
    digests = exchanged(room, "t.tmp", written=which)

    assert len(digests) == 2
    assert room.office.reader.read(hashes.backlog) == (1, 200_000)


def exchanged(
    room: Room, third: str, *, at_once: bool = True, written: str = ""
) -> dict[Path, str | None]:
    """Exchange the names of two files; return the hash that each name had before."""
    one, other = (room.models / f"loras/{name}.safetensors" for name in "ab")
    between = one.with_name(third)
    for path in (one, other):
        measured(room, path)
    digests = {path: sha256_of(room, path) for path in (one, other)}
    if written == "a":
        room.watching._take(Noticed(one, Notice.CHANGED))
    one.rename(between)
    other.rename(one)
    between.rename(other)
    for before, after in ((one, between), (other, one), (between, other)):
        room.watching._take(Noticed(before, Notice.REMOVED))
        room.watching._take(Noticed(after, Notice.MOVED_HERE))
        if after == between and written == "t":
            room.watching._take(Noticed(between, Notice.CHANGED))
        if not at_once:
            room.watching._hand_over()
    room.watching._hand_over()
    return digests
