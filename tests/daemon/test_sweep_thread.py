"""What the sweep thread makes of requests, without a thread."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from comfywatchman.daemon.watching import FAILURE, POLL, Stop, SweepRequest
from comfywatchman.disk.files import look
from comfywatchman.domain.files import Folders
from comfywatchman.domain.messages import (
    ErrorMet,
    ModelFound,
    ModelMoved,
    RootOffline,
    RootOnline,
    SweepFinished,
    SweepStarted,
    WorkflowAnalyzed,
)
from comfywatchman.pipeline.sweeping import found_model
from comfywatchman.state import models
from comfywatchman.watch.notice import Notice, Noticed
from tests.daemon.rooms import Room, room_of
from tests.pipeline.office import Office, model_bytes, put_model
from tests.state.rows import analysis, make_unwritable


@pytest.fixture
def room(office: Office, folders: Folders, tmp_path: Path) -> Room:
    return room_of(office, folders, tmp_path / "workflows")


def old(path: Path, content: bytes | None = None) -> Path:
    """Put a model there that looks as if it had been there for long; only its times are set."""
    put_model(path, content)
    os.utime(path, (1, 1))
    return path


WHOLE = SweepRequest("timer")


def test_a_first_sweep_is_told_and_makes_the_daemon_ready(room: Room) -> None:
    called: list[str] = []
    room.sweeps.when_first_done(lambda: called.append("ready"))
    started, finished = room.do(SweepRequest("start"))

    assert started == SweepStarted("start")
    assert isinstance(finished, SweepFinished)
    assert finished.drift == ()
    assert called == ["ready"]
    assert room.sweeps.first_done.is_set()


def test_a_new_workflow_is_handed_to_the_settle_thread(room: Room) -> None:
    (room.workflows / "w.json").write_text("{}")
    room.do(WHOLE)

    assert room.noticed() == [Noticed(room.workflows / "w.json", Notice.CHANGED)]


def test_a_model_that_was_just_written_has_to_settle_first(room: Room) -> None:
    path = room.models / "loras/x.safetensors"
    put_model(path)
    told = room.do(WHOLE)

    assert room.noticed() == [Noticed(path, Notice.CHANGED, met=True)]
    assert not any(isinstance(event, ModelFound) for event in told)


def test_a_model_that_rests_for_long_is_found_at_once(room: Room) -> None:
    room.sweeps.walks.settle_seconds = (
        -1.0
    )  # a change time cannot be set back, so nothing need rest
    path = old(room.models / "loras/x.safetensors")
    told = room.do(WHOLE)

    assert [event.path for event in told if isinstance(event, ModelFound)] == [path]
    assert room.noticed() == []


def test_a_model_that_somebody_writes_to_has_to_settle_however_old_it_looks(room: Room) -> None:
    room.sweeps.walks.settle_seconds = -1.0
    path = old(room.models / "loras/x.safetensors")
    with path.open("ab"):
        room.do(WHOLE)

    assert room.noticed() == [Noticed(path, Notice.CHANGED, met=True)]


def test_a_renamed_model_keeps_its_row_and_a_removed_one_is_handed_on(room: Room) -> None:
    before, gone = room.models / "loras/x.safetensors", room.models / "loras/gone.safetensors"
    for path in (before, gone):
        put_model(path)
        room.office.happens(*found_model(path))
    after = room.models / "vae/y.safetensors"
    before.rename(after)
    gone.unlink()
    told = room.do(WHOLE)

    (moved,) = (event for event in told if isinstance(event, ModelMoved))
    assert (moved.before, moved.path) == (before, after)
    assert room.noticed() == [Noticed(gone, Notice.REMOVED)]


def test_a_renamed_workflow_is_a_removal_and_an_arrival(room: Room) -> None:
    before, after = room.workflows / "before.json", room.workflows / "after.json"
    seen = put_model(before, b"{}")
    room.office.happens(WorkflowAnalyzed(analysis(before), 0.1, stamp=seen))
    before.rename(after)
    room.do(WHOLE)

    assert room.noticed() == [
        Noticed(before, Notice.REMOVED),
        Noticed(after, Notice.CHANGED),
    ]


def test_what_no_notification_had_told_is_counted(room: Room) -> None:
    (room.workflows / "w.json").write_text("{}")
    finished = room.do(WHOLE)[-1]

    assert isinstance(finished, SweepFinished)
    assert dict(finished.drift)["added"] == 1


def test_a_root_that_is_gone_is_told_once_and_so_is_its_return(room: Room) -> None:
    room.do(WHOLE)
    away = room.models.with_name("unplugged")
    room.models.rename(away)
    first, second = room.do(WHOLE), room.do(WHOLE)
    away.rename(room.models)
    third = room.do(WHOLE)

    assert [type(e) for e in first if isinstance(e, RootOffline)] == [RootOffline]
    assert not any(isinstance(event, RootOffline) for event in second)
    assert [event for event in third if isinstance(event, RootOnline)] == [RootOnline(room.models)]


def test_many_requests_are_folded_into_as_few_walks_as_will_do(room: Room) -> None:
    loras = SweepRequest("directory", room.models / "loras")
    deep = SweepRequest("directory", room.models / "loras" / "deep")

    assert room.sweeps._with_waiting(WHOLE) == [WHOLE]
    for request in (deep, loras, deep):
        room.inbox.put(request)
    assert room.sweeps._with_waiting(deep) == [loras]
    room.inbox.put(WHOLE)
    assert room.sweeps._with_waiting(loras) == [WHOLE]


def test_a_stop_goes_before_everything(room: Room) -> None:
    room.inbox.put(Stop())

    assert room.sweeps._with_waiting(WHOLE) is None


def test_a_sweep_after_a_failure_waits_for_the_next_check(room: Room) -> None:
    (room.workflows / "w.json").write_text("{}")
    assert room.do(SweepRequest(FAILURE), SweepRequest(FAILURE)) == []

    assert room.sweeps._failed == [SweepRequest(FAILURE)]


def test_a_sweep_that_failed_is_kept_and_the_thread_goes_on(room: Room) -> None:
    room.sweeps.walks.settle_seconds = -1.0
    path = old(room.models / "loras/x.safetensors")
    make_unwritable(room.office.keeper, unwritable=True)
    room.do(WHOLE)
    assert room.sweeps._failed == [WHOLE]

    make_unwritable(room.office.keeper, unwritable=False)
    told = room.do(WHOLE)
    assert [event.path for event in told if isinstance(event, ModelFound)] == [path]


def test_a_sweep_below_a_directory_is_not_told_as_a_whole_one(room: Room) -> None:
    put_model(room.models / "loras/x.safetensors")
    told = room.do(SweepRequest("directory", room.models / "loras"))

    assert told == []
    assert len(room.noticed()) == 1


def test_links_to_nothing_under_names_of_models_are_told_once_and_not_all(room: Room) -> None:
    for number in range(30):
        (room.models / "loras").mkdir(exist_ok=True)
        (room.models / f"loras/dead{number}.safetensors").symlink_to("nowhere")
    first = [event for event in room.do(WHOLE) if isinstance(event, ErrorMet)]
    second = [event for event in room.do(WHOLE) if isinstance(event, ErrorMet)]

    assert [event.trouble.code for event in first] == ["file-unreadable"] * 20
    assert second == []


@pytest.mark.parametrize("seconds", [13_569_465_600, -13_000_000_000])
def test_a_file_of_the_year_2400_is_like_any_other(room: Room, seconds: int) -> None:
    path, beside = room.models / "loras/far.safetensors", room.models / "loras/x.safetensors"
    put_model(path)
    put_model(beside)
    os.utime(path, ns=(0, seconds * 10**9))
    if abs(path.stat().st_mtime_ns) < 2**63:  # of those that count from 1901 on, too
        pytest.skip("this file system cannot hold such a time")
    room.office.happens(*found_model(path), *found_model(beside))
    known = room.office.reader.read(lambda c: models.one(c, path))

    assert known is not None
    assert known.stamp == look(path)
    finished = room.do(WHOLE)[-1]
    assert isinstance(finished, SweepFinished)
    assert not any(count for _, count in finished.drift)


def test_a_directory_that_was_moved_in_the_tree_takes_the_rows_of_its_files_along(
    room: Room,
) -> None:
    old, new = room.models / "loras/old", room.models / "loras/new"
    old.mkdir(parents=True)
    names = [f"{number}.safetensors" for number in range(3)]
    for name in names:
        (old / name).write_bytes(model_bytes(name))
    room.sweeps.walks.settle_seconds = -1.0
    room.do(WHOLE)
    old.rename(new)
    told = room.do(SweepRequest("directory", new), SweepRequest("directory", old))

    moved = {(event.before, event.path) for event in told if isinstance(event, ModelMoved)}
    assert moved == {(old / name, new / name) for name in names}
    assert not [event for event in told if isinstance(event, ModelFound)]
    assert {file.path for file in room.office.reader.read(models.every)} == {
        new / name for name in names
    }


def test_a_side_car_in_a_polled_directory_is_told_when_it_comes_and_when_it_changes(
    room: Room,
) -> None:
    poll = SweepRequest(POLL, room.models)
    old, new = (room.models / f"loras/{name}.civitai.info" for name in ("old", "new"))
    old.write_text("{}")
    os.utime(old, ns=(1, 1))
    room.sweeps.walks._sidecars._began_ns = time.time_ns() + 1
    room.do(poll)
    assert room.noticed() == []  # read at the start, with all the others
    new.write_text("{}")
    room.do(poll)
    assert room.noticed() == [Noticed(new, Notice.CHANGED)]
    room.do(poll)
    assert room.noticed() == []
    old.write_text("{ }")
    room.do(poll)

    assert room.noticed() == [Noticed(old, Notice.CHANGED)]
