"""Where parts lie, and directories that are made for them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from comfywatchman.domain.files import Folder, Folders
from comfywatchman.place import part_beside, plan, staged


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    loras = tmp_path / "models/loras"
    loras.mkdir(parents=True)
    table = {"loras": Folder("loras", (loras,), write_root=loras)}
    return Folders(tmp_path, tmp_path / "models", table)


def test_where_the_part_lies_is_known_without_a_look_at_the_disk(folders: Folders) -> None:
    there = plan(folders, "loras", "sub/detail.safetensors", "a-hash").part

    assert part_beside(folders, "loras", "sub/detail.safetensors", "a-hash") == there


def test_a_directory_that_is_made_survives_a_power_cut_with_what_is_placed_in_it(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    sync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    target = plan(folders, "loras", "new/deeper/a.safetensors", "x")
    with staged(target) as part:
        part.append(b"the bytes of a model")

    assert {target.root.stat().st_ino, (target.root / "new").stat().st_ino} <= {*synced}
