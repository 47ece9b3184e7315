"""Directories and files of ours that may not be read are told, and not left out in silence."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from comfywatchman.comfyui.layout import read_layout
from comfywatchman.daemon.handover import export_state
from comfywatchman.daemon.lock import LOCK, owner_of
from comfywatchman.daemon.stock import Stock
from comfywatchman.daemon.survey import each_workflow, files_on_disk, unreadable
from comfywatchman.demo.scratch import Scratch
from comfywatchman.domain.errors import DiskFailed, FolderNotWritable, Trouble
from comfywatchman.domain.references import WorkflowState
from comfywatchman.state import store


@pytest.fixture
def ours() -> Iterator[Path]:
    """A directory of ours, in which we are no administrator."""
    before = os.geteuid()
    home = Path(tempfile.mkdtemp())
    if before == 0:
        os.chown(home, 65534, 65534)
        os.seteuid(65534)
    try:
        yield home
    finally:
        os.seteuid(before)
        for directory in home.rglob("*"):
            directory.chmod(0o700)
        shutil.rmtree(home)


def test_a_closed_directory_of_models_is_told_by_the_stock_and_to_an_analysis(ours: Path) -> None:
    closed = ours / "models" / "loras" / "closed"
    closed.mkdir(parents=True)
    closed.chmod(0)
    folders = read_layout(ours).folders
    stock = Stock(folders, None)
    told: list[tuple[Path, str]] = []
    found = [
        *stock.files(),
        *files_on_disk(folders, ours / "state", lambda path, why: told.append((path, why.code))),
    ]

    assert found == []
    assert [path for path, _ in stock.unread] == [closed]
    assert told == [(closed, "file-unreadable")]


def test_a_closed_directory_of_workflows_counts_as_one_that_cannot_be_read(ours: Path) -> None:
    closed = ours / "closed"
    closed.mkdir(mode=0)
    (ours / "a.json").touch()
    told: list[tuple[Path, Trouble]] = []
    files = list(each_workflow([str(ours)], lambda path, why: told.append((path, why))))

    assert files == [ours / "a.json"]
    assert unreadable(*told[0]).path == closed
    assert unreadable(*told[0]).state is WorkflowState.UNREADABLE


def test_a_lock_that_may_not_be_opened_says_nothing_of_a_daemon(ours: Path) -> None:
    (ours / LOCK).touch(mode=0)

    with pytest.raises(DiskFailed, match="cannot be opened"):
        owner_of(ours)


def test_a_closed_state_directory_is_told_by_whoever_reads_or_exports_it(ours: Path) -> None:
    closed = ours / "state"
    closed.mkdir(mode=0)

    with pytest.raises(DiskFailed, match="cannot be read"):
        store.open_reader(closed)
    with pytest.raises(DiskFailed, match="cannot be read"):
        export_state(closed, ours / "state.jsonl")


def test_a_demo_in_a_closed_directory_is_told(ours: Path) -> None:
    (ours / "closed").mkdir(mode=0o500)

    with pytest.raises(FolderNotWritable):
        Scratch(ours / "closed" / "demo").make(hub="", hosts=(), listen="127.0.0.1:0")
