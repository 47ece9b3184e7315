"""What the settle thread makes of notices, taken one by one and without a thread."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from comfywatchman.daemon.watching import (
    FAILURE,
    Check,
    SweepRequest,
    rule_for,
    said_again,
)
from comfywatchman.domain.files import Folders
from comfywatchman.domain.messages import (
    ModelCorrupt,
    ModelFound,
    ModelMoved,
    ModelRemoved,
    WatchOverflowed,
    WorkflowAnalyzed,
    WorkflowRemoved,
    WorkflowSettled,
)
from comfywatchman.state.lookups import Lookups
from comfywatchman.watch.notice import EVERYWHERE, Notice, Noticed
from tests.daemon.resting import Room, resting
from tests.pipeline.office import Office, model_bytes, put_model
from tests.state.rows import analysis, make_unwritable


@pytest.fixture
def room(office: Office, folders: Folders, tmp_path: Path) -> Room:
    return resting(office, folders, tmp_path)


def test_a_workflow_at_rest_is_settled(room: Room) -> None:
    path = room.workflows / "w.json"
    path.write_text("{}")

    assert room.notice(path) == [WorkflowSettled(path, 2)]


def test_a_workflow_that_was_read_as_it_is_now_is_no_news(room: Room) -> None:
    path = room.workflows / "w.json"
    seen = put_model(path, b"{}")
    room.office.happens(WorkflowAnalyzed(analysis(path), 0.1, stamp=seen))

    assert room.notice(path) == []


@pytest.mark.parametrize("name", [".w.json.tmp", "w.txt", "sub"])
def test_what_is_neither_workflow_nor_model_is_no_news(room: Room, name: str) -> None:
    path = room.workflows / name
    path.touch()

    assert room.notice(path) == []
    assert room.requests() == []


def test_a_model_at_rest_is_found_and_measured_later(room: Room) -> None:
    path = room.models / "loras/x.safetensors"
    seen = put_model(path)

    assert room.notice(path) == [ModelFound(path, seen.size, whole=True, stamp=seen)]
    assert not room.office.desk.bells["index"].empty()


def test_a_model_that_is_known_as_it_is_now_is_no_news(room: Room) -> None:
    """Our own placing is told by the kernel, too."""
    path = room.models / "loras/x.safetensors"
    seen = put_model(path)
    room.office.happens(ModelFound(path, seen.size, whole=True, stamp=seen))

    assert room.notice(path) == []


def test_a_model_that_was_cut_short_is_looked_at_again_when_told(room: Room) -> None:
    path = room.models / "loras/x.safetensors"
    seen = put_model(path)
    room.office.happens(ModelFound(path, seen.size, whole=False, stamp=seen))

    assert room.notice(path) == [ModelFound(path, seen.size, whole=True, stamp=seen)]


def test_a_page_under_the_name_of_a_model_is_told_as_corrupt(room: Room) -> None:
    path = room.models / "loras/x.safetensors"
    put_model(path, b"<!doctype html><p>Please sign in." * 20)

    assert [type(event) for event in room.notice(path)] == [ModelFound, ModelCorrupt]


def test_a_renamed_model_is_moved_and_not_found(room: Room) -> None:
    before, after = room.models / "loras/x.safetensors", room.models / "vae/y.safetensors"
    seen = put_model(before)
    room.office.happens(ModelFound(before, seen.size, whole=True, stamp=seen))
    room.notice(before, Notice.REMOVED)
    before.rename(after)

    (moved,) = room.notice(after, Notice.MOVED_HERE)
    assert isinstance(moved, ModelMoved)
    assert (moved.before, moved.path) == (before, after)


def test_a_model_that_is_gone_keeps_its_row_for_a_moment(room: Room) -> None:
    path = room.models / "loras/x.safetensors"
    seen = put_model(path)
    room.office.happens(ModelFound(path, seen.size, whole=True, stamp=seen))
    path.unlink()

    assert room.notice(path, Notice.REMOVED) == []
    assert list(room.watching._leaving) == [path]
    with room.office.reader.connect() as connection:
        assert room.watching._left(path, Lookups(connection)) == [ModelRemoved(path)]


def test_a_removed_workflow_is_forgotten_at_once(room: Room) -> None:
    path = room.workflows / "w.json"
    room.office.happens(WorkflowAnalyzed(analysis(path), 0.1))

    assert room.notice(path, Notice.REMOVED) == [WorkflowRemoved(path)]


def test_a_removal_is_not_believed_while_the_file_is_there(room: Room) -> None:
    path = room.workflows / "w.json"
    path.write_text("{}")
    room.office.happens(WorkflowAnalyzed(analysis(path), 0.1))

    assert room.notice(path, Notice.REMOVED) == []


def test_a_directory_that_is_gone_takes_what_was_in_it_and_no_more(room: Room) -> None:
    inside = [room.workflows / "sub/a.json", room.workflows / "sub/deep/b.json"]
    beside = [room.workflows / "sub.json", room.workflows / "sub-2.json"]
    for path in (*inside, *beside):
        room.office.happens(WorkflowAnalyzed(analysis(path), 0.1))

    gone = room.notice(room.workflows / "sub", Notice.REMOVED)
    assert sorted(str(event.path) for event in gone if isinstance(event, WorkflowRemoved)) == [
        str(path) for path in inside
    ]


def test_what_the_kernel_threw_away_is_told_and_swept_for(room: Room) -> None:
    assert room.notice(EVERYWHERE, Notice.OVERFLOW) == [WatchOverflowed()]
    assert room.requests() == [SweepRequest("overflow")]


@pytest.mark.parametrize("kind", [Notice.DIRECTORY_CHANGED, Notice.ROOT_BACK])
def test_a_directory_that_came_is_swept(room: Room, kind: Notice) -> None:
    assert room.notice(room.models / "loras", kind) == []
    assert room.requests() == [SweepRequest("directory", room.models / "loras")]


def test_a_link_to_a_directory_is_swept(room: Room, tmp_path: Path) -> None:
    (tmp_path / "drive").mkdir()
    link = room.models / "loras/external"
    link.symlink_to(tmp_path / "drive")
    room.notice(link)

    assert room.requests() == [SweepRequest("directory", link)]


def test_a_root_that_went_is_checked(room: Room) -> None:
    room.notice(room.models, Notice.ROOT_GONE)

    assert room.requests() == [Check()]


def test_a_file_that_vanishes_before_it_is_looked_at_is_no_news(room: Room) -> None:
    assert room.notice(room.models / "loras/x.safetensors") == []


def test_what_cannot_be_stored_is_swept_for_later_and_the_thread_goes_on(room: Room) -> None:
    path = room.workflows / "w.json"
    path.write_text("{}")
    make_unwritable(room.office.keeper, unwritable=True)
    assert room.notice(path) == []
    assert room.requests() == [SweepRequest(FAILURE)]

    make_unwritable(room.office.keeper, unwritable=False)
    assert room.notice(path) == [WorkflowSettled(path, 2)]


def test_a_pipe_in_a_model_folder_is_no_model(room: Room) -> None:
    path = room.models / "loras/pipe.safetensors"
    os.mkfifo(path)

    assert room.notice(path) == []


def test_a_model_that_changes_is_found_anew(room: Room) -> None:
    path = room.models / "loras/x.safetensors"
    before = put_model(path)
    room.office.happens(ModelFound(path, before.size, whole=True, stamp=before))
    after = put_model(path, model_bytes(data=128))

    assert room.notice(path) == [ModelFound(path, after.size, whole=True, stamp=after)]


# -- what is still arriving


def test_a_file_is_whole_when_its_companion_goes_though_nobody_touches_it_again(
    room: Room,
) -> None:
    path = room.models / "loras/x.safetensors"
    control = path.with_name("x.safetensors.aria2")
    put_model(path)
    control.touch()
    (first,) = room.notice(path)
    control.unlink()
    told = [
        event for event in room.notice(control, Notice.REMOVED) if isinstance(event, ModelFound)
    ]

    assert isinstance(first, ModelFound)
    assert not first.whole
    assert [event.whole for event in told] == [True]


def test_a_model_rests_longer_where_nobody_can_tell_whether_it_is_written(tmp_path: Path) -> None:
    rule = rule_for([tmp_path], 2.0)(tmp_path.parent / "models/loras/x.safetensors")

    assert (rule.quick, rule.slow) == (2.0, 5.0)


def test_of_changes_of_one_file_only_the_last_is_looked_at(tmp_path: Path) -> None:
    a, b = (Noticed(tmp_path / name, Notice.CHANGED) for name in "ab")
    gone = Noticed(a.path, Notice.REMOVED)
    notices = [a, b, a, a, gone, b, a, Noticed(tmp_path, Notice.OVERFLOW)]

    looked_at = [again for _, again in said_again(notices)]
    assert looked_at == [True, True, True, False, False, False, False, False]
