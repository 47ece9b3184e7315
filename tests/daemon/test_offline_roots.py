"""Directories of models whose drive goes away, on real mounts: kept, told, not read again."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from comfywatchman.daemon.once import _offline
from comfywatchman.daemon.watching import SweepRequest
from comfywatchman.domain.files import Folders
from comfywatchman.domain.messages import ModelFound, RootOffline, RootOnline
from comfywatchman.pipeline.sweeping import sweep_tree
from comfywatchman.state import models
from comfywatchman.watch.notice import Notice, Noticed
from tests.daemon.rooms import WHOLE, Room, room_of
from tests.pipeline.office import Office, model_bytes


def mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, check=False, text=True)
    if done.returncode != 0:
        pytest.skip(f"may not mount: {done.stderr.strip()}")


def unmount(path: Path) -> None:
    subprocess.run(["umount", str(path)], check=False, capture_output=True)


class Drive:
    """A file system in a file, which gets another device number each time it is mounted."""

    def __init__(self, image: Path, place: Path) -> None:
        self.image, self.place = image, place
        image.touch()
        os.truncate(image, 16 << 20)
        made = subprocess.run(["mkfs.ext4", "-q", str(image)], check=False, capture_output=True)
        if made.returncode != 0:
            pytest.skip("no ext4 can be made here")
        place.mkdir(parents=True, exist_ok=True)

    def plug(self) -> None:
        mount("-o", "loop", str(self.image), str(self.place))

    def unplug(self) -> None:
        unmount(self.place)


@pytest.fixture
def room(office: Office, folders: Folders, tmp_path: Path) -> Room:
    room = room_of(office, folders, tmp_path / "workflows")
    room.sweeps.walks.settle_seconds = room.sweeps.looking.settle_seconds = -1.0
    return room


@pytest.fixture
def drive(tmp_path: Path, folders: Folders) -> Iterator[Drive]:
    drive = Drive(tmp_path / "drive.img", folders.models_root / "loras")
    drive.plug()
    yield drive
    drive.unplug()


def put(directory: Path, count: int = 3) -> list[Path]:
    directory.mkdir(parents=True, exist_ok=True)
    paths = [directory / f"{number}.safetensors" for number in range(count)]
    for path in paths:
        path.write_bytes(model_bytes(path.name))
    return paths


def known(room: Room) -> dict[Path, int]:
    """Return the device of each row."""
    every = room.office.reader.read(models.every)
    return {file.path: file.stamp.device for file in every}


def test_what_was_on_a_drive_is_kept_while_it_is_not_mounted(room: Room, drive: Drive) -> None:
    put(drive.place)
    (beside,) = put(room.models / "vae", 1)
    room.do(WHOLE)
    before = known(room)
    drive.unplug()
    told = room.do(WHOLE)

    (offline,) = (event for event in told if isinstance(event, RootOffline))
    assert offline.root == drive.place
    assert "another device" in offline.trouble.cause
    assert known(room) == before
    assert len(before) == 4
    assert room.noticed() == []
    assert room.sweeps.reach.why_offline(drive.place / "0.safetensors") == offline.trouble
    assert room.sweeps.reach.why_offline(beside) is None


def test_a_drive_that_is_back_under_another_number_is_not_read_again(
    room: Room, drive: Drive, tmp_path: Path
) -> None:
    put(drive.place)
    room.do(WHOLE)
    before = known(room)
    drive.unplug()
    room.do(WHOLE)
    others = []
    try:
        for number in range(8):  # one of them takes the number that the drive had
            others.append(Drive(tmp_path / f"{number}.img", tmp_path / f"elsewhere-{number}"))
            others[-1].plug()
            drive.plug()
            if drive.place.stat().st_dev not in before.values():
                break
            drive.unplug()
        told = room.do(WHOLE)
    finally:
        for other in others:
            other.unplug()

    assert [event for event in told if isinstance(event, RootOnline)] == [RootOnline(drive.place)]
    assert not [event for event in told if isinstance(event, ModelFound)]
    assert known(room).keys() == before.keys()
    assert set(known(room).values()) == {drive.place.stat().st_dev} != set(before.values())
    assert room.noticed() == []


def test_another_drive_in_the_same_place_does_not_push_out_what_was_known(
    room: Room, drive: Drive, tmp_path: Path
) -> None:
    first = put(drive.place)
    room.do(WHOLE)
    drive.unplug()
    other = Drive(tmp_path / "other.img", drive.place)
    other.plug()
    try:
        (new,) = put(drive.place / "new", 1)
        told = room.do(WHOLE)
    finally:
        other.unplug()

    assert [event.root for event in told if isinstance(event, RootOffline)] == [drive.place]
    assert known(room).keys() == {*first, new}


def test_what_a_program_writes_while_the_drive_is_away_pushes_out_nothing(
    room: Room, drive: Drive
) -> None:
    first = put(drive.place)
    room.do(WHOLE)
    drive.unplug()
    (new,) = (drive.place / "new.safetensors",)
    new.write_bytes(model_bytes("new"))
    room.do(WHOLE)
    room.do(WHOLE)

    assert known(room).keys() == {*first, new}
    new.unlink()


def test_a_bind_mount_that_is_missing_is_told_from_a_directory_that_was_emptied(
    room: Room, tmp_path: Path
) -> None:
    """Both lie on the same device; the directory below was not changed for long."""
    place = room.models / "vae"
    os.utime(place, (1, 1))
    mount("--bind", str(tmp_path), str(place))
    try:
        first = put(place / "kept")
        room.do(WHOLE)
    finally:
        unmount(place)
    told = room.do(WHOLE)

    assert [event.root for event in told if isinstance(event, RootOffline)] == [place]
    assert known(room).keys() == set(first)
    assert "inventory sweep --removed" in room.sweeps.reach.offline[place].remedy
    room.do(replace(WHOLE, believe=True))
    assert set(room.noticed()) == {Noticed(path, Notice.REMOVED) for path in first}
    assert room.sweeps.reach.offline == {}


def test_a_folder_whose_last_file_is_gone_was_emptied_by_somebody(room: Room) -> None:
    (only,) = put(room.models / "loras", 1)
    put(room.models / "vae", 1)
    room.do(WHOLE)
    only.unlink()
    told = room.do(WHOLE)

    assert not [event for event in told if isinstance(event, RootOffline)]
    assert room.noticed() == [Noticed(only, Notice.REMOVED)]


def test_a_folder_that_was_full_and_is_empty_keeps_its_rows_until_it_is_back(
    room: Room, tmp_path: Path
) -> None:
    loras = room.models / "loras"
    put(loras / "deep")
    put(loras)
    put(room.models / "vae", 1)
    room.do(WHOLE)
    before = known(room)
    loras.rename(tmp_path / "away")
    loras.mkdir()
    (loras / "put_loras_here").touch()
    told = room.do(SweepRequest("directory", loras))

    (offline,) = (event for event in told if isinstance(event, RootOffline))
    assert offline.root == loras
    assert "6 files lay" in offline.trouble.cause
    assert room.sweeps.lacking() == []  # it may be as its user wants it: that is told, no more
    assert room.noticed() == []
    room.sweeps._look_at_offline()
    assert room.inbox.empty()
    (loras / "put_loras_here").unlink()
    loras.rmdir()
    (tmp_path / "away").rename(loras)
    room.sweeps._look_at_offline()
    told = room.do()
    assert [event for event in told if isinstance(event, RootOnline)] == [RootOnline(loras)]
    assert not [event for event in told if isinstance(event, ModelFound)]
    assert known(room) == before
    assert room.noticed() == []


def test_a_root_that_another_empty_directory_took_the_place_of_keeps_its_rows(
    room: Room, tmp_path: Path
) -> None:
    put(room.models / "loras", 1)
    put(room.models / "vae", 1)
    room.do(WHOLE)
    before = known(room)
    room.models.rename(tmp_path / "away")
    (room.models / "loras").mkdir(parents=True)
    told = room.do(WHOLE)

    assert [event.root for event in told if isinstance(event, RootOffline)] == [room.models]
    assert known(room) == before
    assert room.noticed() == []


def test_everything_removed_at_once_is_believed_when_somebody_says_so(room: Room) -> None:
    first = [*put(room.models / "loras/deep/er"), *put(room.models / "vae")]
    room.do(WHOLE)
    for directory in ("loras", "vae"):
        subprocess.run(["rm", "-rf", str(room.models / directory)], check=True)
    room.do(WHOLE)
    assert room.sweeps.reach.offline.keys() == {room.models}
    assert "inventory sweep --removed" in room.sweeps.reach.offline[room.models].remedy
    room.do(replace(WHOLE, believe=True))

    assert set(room.noticed()) == {Noticed(path, Notice.REMOVED) for path in first}
    assert room.sweeps.reach.offline == {}


def test_fix_may_put_models_into_a_folder_that_was_emptied(room: Room) -> None:
    first = put(room.models / "loras")
    room.do(WHOLE)
    for path in first:
        path.unlink()
    tree = next(tree for tree in room.sweeps.trees if tree.kind == "models")
    news = sweep_tree(tree, room.office.reader)

    assert news.emptied() == news.out_of_reach().keys() == {room.models / "loras"}
    assert _offline(news) == {}


def test_a_folder_from_which_files_were_moved_to_another_was_tidied_up(room: Room) -> None:
    moved, *others = put(room.models / "loras")
    (room.models / "vae").mkdir(exist_ok=True)
    room.do(WHOLE)
    moved.rename(room.models / "vae/moved.safetensors")
    for path in others:
        path.unlink()
    room.do(WHOLE)

    assert set(room.noticed()) == {Noticed(path, Notice.REMOVED) for path in others}


def test_a_link_to_a_model_that_was_taken_away_is_believed_and_a_dead_one_is_not(
    room: Room, tmp_path: Path
) -> None:
    drive = Drive(tmp_path / "drive.img", tmp_path / "usb")
    drive.plug()
    try:
        put(tmp_path / "usb", 2)
        (own,) = put(room.models / "loras", 1)
        links = [room.models / "loras" / f"link-{number}.safetensors" for number in range(2)]
        for number, link in enumerate(links):
            link.symlink_to(tmp_path / "usb" / f"{number}.safetensors")
        room.do(WHOLE)
        links[1].unlink()
        room.do(WHOLE)
        assert room.noticed() == [Noticed(links[1], Notice.REMOVED)]
    finally:
        drive.unplug()
    room.do(WHOLE)

    assert known(room).keys() >= {own, links[0]}
    assert Noticed(links[0], Notice.REMOVED) not in room.noticed()
