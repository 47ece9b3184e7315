from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from comfywatchman.disk.publish import move_new, publish, rename_new, rename_over_own

Move = Callable[[tuple[int, str], tuple[int, str]], None]


def published(staged: Path, final: Path) -> None:
    """Give *staged* its *final* name in the same directory."""
    directory = os.open(final.parent, os.O_RDONLY | os.O_DIRECTORY)
    file = os.open(staged, os.O_RDWR | os.O_NOFOLLOW)
    try:
        publish(directory, staged.name, final.name, file)
    finally:
        os.close(file)
        os.close(directory)


def test_a_staged_file_gets_its_name_and_loses_the_old_one(tmp_path: Path) -> None:
    staged = tmp_path / ".a.part"
    staged.write_bytes(b"abc")

    published(staged, tmp_path / "a")

    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"abc"


@pytest.mark.parametrize("kind", ["file", "directory", "dead link"])
def test_nothing_that_is_there_is_replaced(tmp_path: Path, kind: str) -> None:
    staged, final = tmp_path / ".a.part", tmp_path / "a"
    staged.write_bytes(b"abc")
    if kind == "file":
        final.write_bytes(b"theirs")
    elif kind == "directory":
        final.mkdir()
    else:
        final.symlink_to("nowhere")
    before = final.lstat()

    with pytest.raises(FileExistsError):
        published(staged, final)

    assert staged.read_bytes() == b"abc"
    assert final.lstat() == before


def test_a_published_file_is_never_executable(tmp_path: Path) -> None:
    staged = tmp_path / ".a.part"
    staged.write_bytes(b"abc")
    staged.chmod(0o755)

    published(staged, tmp_path / "a")

    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644


def test_what_is_published_is_the_file_that_was_opened(tmp_path: Path) -> None:
    staged, final = tmp_path / ".a.part", tmp_path / "a"
    staged.write_bytes(b"verified")
    directory = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    file = os.open(staged, os.O_RDWR)
    staged.rename(tmp_path / "aside")
    staged.write_bytes(b"slipped in")

    publish(directory, staged.name, final.name, file)

    os.close(file)
    os.close(directory)
    assert final.read_bytes() == b"verified"


def test_a_file_that_was_removed_meanwhile_is_not_published(tmp_path: Path) -> None:
    staged, final = tmp_path / ".a.part", tmp_path / "a"
    staged.write_bytes(b"verified")
    directory = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    file = os.open(staged, os.O_RDWR)
    staged.unlink()
    staged.write_bytes(b"slipped in")

    with pytest.raises(FileNotFoundError):
        publish(directory, staged.name, final.name, file)

    os.close(file)
    os.close(directory)
    assert not final.exists()


@pytest.mark.parametrize("move", [move_new, rename_new, rename_over_own])
def test_every_way_of_moving_refuses_to_replace(tmp_path: Path, move: Move) -> None:
    directory = os.open(tmp_path, os.O_RDONLY)
    (tmp_path / "b").write_bytes(b"theirs")
    (tmp_path / "a").write_bytes(b"ours")

    with pytest.raises(FileExistsError):
        move((directory, "a"), (directory, "b"))
    move((directory, "a"), (directory, "c"))

    os.close(directory)
    assert (tmp_path / "b").read_bytes() == b"theirs"
    assert (tmp_path / "c").read_bytes() == b"ours"
    assert not (tmp_path / "a").exists()
