"""Odd files in a library of models: each has its own outcome, and the rest goes on."""

from __future__ import annotations

import errno
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from comfywatchman.domain.files import Folders, Stamp
from comfywatchman.domain.messages import ErrorMet, ModelFound
from comfywatchman.state import models
from comfywatchman.watch.notice import Notice, Noticed
from tests.daemon.rooms import WHOLE, Room, room_of
from tests.pipeline.office import Office, model_bytes, put_model
from tests.share import shared


@pytest.fixture
def room(office: Office, folders: Folders, tmp_path: Path) -> Room:
    room = room_of(office, folders, tmp_path / "workflows")
    room.sweeps.walks.settle_seconds = room.sweeps.looking.settle_seconds = -1.0
    return room


def rows(room: Room) -> dict[Path, bool]:
    """Return whether each known file is whole."""
    every = room.office.reader.read(models.every)
    return {file.path: file.whole for file in every}


def swept(room: Room) -> list[object]:
    told = room.do(WHOLE)
    before = len(room.office.told)
    room.look()
    return [*told, *room.office.told[before:]]


ODD = [
    os.fsdecode(b"caf\xe9.safetensors"),
    "two\nlines.safetensors",
    "tab\tand\x01bell.safetensors",
    "right\u202eto left.safetensors",
    " blank .safetensors",
    "\U0001f600.safetensors",
    "n" * 240 + ".safetensors",
]


@pytest.mark.parametrize("name", ODD, ids=range(len(ODD)))
def test_an_odd_name_is_a_row_like_any_other(room: Room, name: str) -> None:
    path = room.models / "loras" / name
    put_model(path)
    swept(room)
    assert rows(room) == {path: True}

    swept(room)
    path.unlink()
    room.do(WHOLE)
    assert room.noticed() == [Noticed(path, Notice.REMOVED)]


def test_a_directory_of_an_odd_name_is_looked_into(room: Room) -> None:
    path = room.models / "loras" / os.fsdecode(b"d\xe9\npth") / "x.safetensors"
    put_model(path)
    swept(room)

    assert rows(room) == {path: True}


def test_a_sparse_file_is_still_arriving(room: Room) -> None:
    path = room.models / "loras/sparse.ckpt"
    path.touch()
    os.truncate(path, 1 << 40)
    swept(room)

    assert rows(room) == {path: False}


def test_a_file_without_permission_is_told_and_the_rest_is_found(
    room: Room, tmp_path: Path
) -> None:
    """By a share that refuses it, since root may read everything else."""
    (tmp_path / "server").mkdir()
    for name in ("closed", "open"):
        (tmp_path / "server" / f"{name}.safetensors").write_bytes(model_bytes(name))
    place = room.models / "loras"
    with shared(tmp_path / "server", place) as share:
        share.error_for_opening = lambda path: errno.EACCES if "closed" in path.name else 0
        room.sweeps.walks.settle_seconds = room.sweeps.looking.settle_seconds = -10.0
        share.age = 10.0  # nobody can tell there whether what is younger is being written
        told = swept(room)

    assert rows(room)[place / "open.safetensors"]
    (met,) = (event for event in told if isinstance(event, ErrorMet))
    assert met.path == place / "closed.safetensors"
    assert met.trouble.code == "file-unreadable"
    assert met.trouble.remedy


def test_dead_and_looping_links_are_no_models_and_hold_nobody_up(room: Room) -> None:
    loras = room.models / "loras"
    (loras / "dead.safetensors").symlink_to("nowhere")
    (loras / "loop.safetensors").symlink_to("loop.safetensors")
    (loras / "circle").symlink_to(loras)
    (loras / "nas").symlink_to("/nonexistent/drive")
    put_model(loras / "good.safetensors")
    told = swept(room)

    assert rows(room) == {loras / "good.safetensors": True}
    met = {event.path for event in told if isinstance(event, ErrorMet)}
    assert met == {loras / name for name in ("nas", "dead.safetensors", "loop.safetensors")}


def test_pipes_devices_and_directories_under_a_model_s_name_are_none(room: Room) -> None:
    loras = room.models / "loras"
    os.mkfifo(loras / "pipe.safetensors")
    (loras / "zero.safetensors").symlink_to("/dev/zero")
    (loras / "directory.safetensors").mkdir()
    put_model(loras / "directory.safetensors" / "x.safetensors")
    swept(room)

    assert rows(room) == {loras / "directory.safetensors" / "x.safetensors": True}


@pytest.mark.parametrize("count", [10_000, pytest.param(50_000, marks=pytest.mark.trial)])
def test_a_directory_of_many_thousand_entries_is_known_and_walked_again_at_once(
    room: Room, count: int
) -> None:
    directory = room.models / "loras"
    for number in range(count):
        descriptor = os.open(directory / f"{number}.ckpt", os.O_CREAT | os.O_WRONLY)
        os.close(descriptor)
    room.do(WHOLE)
    assert room.office.reader.read(models.count) == count
    began = time.monotonic()
    told = room.do(WHOLE)
    took = time.monotonic() - began

    assert not [event for event in told if isinstance(event, ModelFound)]
    assert took < 20


@pytest.mark.parametrize(
    "when",
    [0.0, 1.0, time.time() + 10 * 365 * 86_400, 2**31 - 1.0, 2**31 + 1.0],
    ids=["zero", "one", "in ten years", "the last second of 31 bits", "after it"],
)
def test_a_strange_time_is_a_time(room: Room, when: float) -> None:
    path = room.models / "loras/x.safetensors"
    put_model(path)
    os.utime(path, (when, when))
    swept(room)
    assert rows(room) == {path: True}

    swept(room)
    assert room.noticed() == []
    os.utime(path, (when, when))
    room.do(WHOLE)
    assert rows(room) == {path: True}  # another change time, looked into again


def test_a_clock_that_jumps_loses_and_repeats_nothing(room: Room) -> None:
    """What was noted in ten years, or in 1970, is compared by its stamp and not by the time."""
    first, second = (room.models / f"loras/{n}.safetensors" for n in range(2))
    put_model(first)
    put_model(second)
    swept(room)
    far = time.time() + 10 * 365 * 86_400
    room.office.keeper.write(
        lambda c: c.exec_driver_sql("UPDATE models SET noted_at = ?", (far,)).rowcount
    )
    told = swept(room)
    second.unlink()
    room.do(WHOLE)

    assert not [event for event in told if isinstance(event, ModelFound)]
    assert room.noticed() == [Noticed(second, Notice.REMOVED)]


def test_a_read_error_in_one_directory_loses_nothing_of_it_and_the_rest_goes_on(
    room: Room, tmp_path: Path
) -> None:
    server, place = tmp_path / "server", room.models / "loras"
    for name in ("bad", "good"):
        put_model(server / name / "x.safetensors", model_bytes(name))
    with shared(server, place) as share:
        room.sweeps.walks.settle_seconds = room.sweeps.looking.settle_seconds = -10.0
        share.age = 10.0
        swept(room)
        before = rows(room)
        share.error_for = lambda path: errno.EIO if path.name == "bad" else 0
        put_model(server / "good" / "y.safetensors", model_bytes("y"))
        told = room.do(WHOLE)

    assert len(before) == 2
    assert before.keys() <= rows(room).keys()
    assert [e.path for e in told if isinstance(e, ErrorMet)] == [place / "bad"]


# -- nothing is written by looking


def times(root: Path) -> dict[str, tuple[int, int, int]]:
    """Return what writing to a directory or a file would change."""
    found = {}
    for directory, _, names in os.walk(root):
        for path in (Path(directory), *(Path(directory, name) for name in names)):
            seen = path.lstat()
            found[str(path)] = (seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size)
    return found


def test_looking_changes_no_time_in_the_library(room: Room) -> None:
    for folder in ("loras", "vae"):
        for number in range(20):
            put_model(room.models / folder / f"{number}.safetensors", model_bytes(str(number)))
    before = times(room.models)
    swept(room)
    swept(room)

    assert len(rows(room)) == 40
    assert times(room.models) == before


@pytest.fixture
def read_only(tmp_path: Path, folders: Folders) -> Iterator[Path]:
    """A library that cannot be written to by anybody."""
    library = tmp_path / "library"
    for number in range(20):
        put_model(library / "loras" / f"{number}.safetensors", model_bytes(str(number)))
    place = folders.models_root
    for options in (["--bind", str(library)], ["-o", "remount,bind,ro"]):
        done = subprocess.run(["mount", *options, str(place)], check=False, capture_output=True)
        if done.returncode != 0:
            pytest.skip("may not mount")
    yield place
    subprocess.run(["umount", str(place)], check=False)


def test_a_library_that_is_read_only_is_known_like_any_other(room: Room, read_only: Path) -> None:
    told = swept(room)

    assert len(rows(room)) == 20
    assert all(rows(room).values())
    assert not [event for event in told if isinstance(event, ErrorMet)]


def test_a_stamp_of_before_1970_is_kept(room: Room) -> None:
    path = room.models / "loras/old.safetensors"
    put_model(path)
    os.utime(path, ns=(-1_000_000_000, -1_000_000_000))
    swept(room)

    (row,) = room.office.reader.read(models.every)
    assert row.stamp == Stamp(
        path.stat().st_dev,
        path.stat().st_ino,
        path.stat().st_size,
        -1_000_000_000,
        path.stat().st_ctime_ns,
    )
