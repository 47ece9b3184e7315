"""Files that commands write: over nothing of anybody else, and whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from comfywatchman.cli import exporting
from comfywatchman.cli.exporting import write_export, write_new
from comfywatchman.domain.errors import DiskFull, FolderNotWritable, NameTaken
from comfywatchman.state.bundle import Head, write_bundle


def failing(number: int) -> object:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_read_only_disk_is_told_though_the_removal_fails_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("write_bytes", "unlink"):
        monkeypatch.setattr(Path, name, failing(errno.EROFS))

    with pytest.raises(FolderNotWritable, match="Read-only file system"):
        write_export(tmp_path / "l.json", b"{}")


def test_a_read_only_disk_is_told_of_a_state_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "open", failing(errno.EROFS))
    monkeypatch.setattr(Path, "unlink", failing(errno.EROFS))

    with pytest.raises(Exception, match="Read-only file system") as told:
        write_bundle(tmp_path / "s.json", Head("1", 1.0), [])
    assert getattr(told.value, "code", None) == "disk-failed"


def test_a_link_to_nothing_and_a_pipe_are_taken_names(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe")

    for name in ("link", "pipe"):
        with pytest.raises(NameTaken):
            write_export(tmp_path / name, b"{}")


def test_a_new_file_is_for_its_owner_alone_and_replaces_nothing(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    write_new(path, b"a")
    with pytest.raises(FileExistsError):
        write_new(path, b"b")

    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"a", 0o600)
    assert [each.name for each in tmp_path.iterdir()] == ["config.toml"]


def test_of_a_new_file_nothing_is_left_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "publish", failing(errno.ENOSPC))
    with pytest.raises(DiskFull):
        write_new(tmp_path / "config.toml", b"a")

    assert list(tmp_path.iterdir()) == []
