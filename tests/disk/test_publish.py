from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from comfywatchman.disk.publish import move_new, publish, rename_new, rename_over_own

Move = Callable[[tuple[int, str], tuple[int, str]], None]


def test_a_staged_file_gets_its_name_and_loses_the_old_one(tmp_path: Path) -> None:
    staged = tmp_path / ".a.part"
    staged.write_bytes(b"abc")

    publish(staged, tmp_path / "a")

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
        publish(staged, final)

    assert staged.read_bytes() == b"abc"
    assert final.lstat() == before


def test_a_published_file_is_never_executable(tmp_path: Path) -> None:
    staged = tmp_path / ".a.part"
    staged.write_bytes(b"abc")
    staged.chmod(0o755)

    publish(staged, tmp_path / "a")

    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644


def test_a_link_is_not_published(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"")
    (tmp_path / ".a.part").symlink_to("secret")

    with pytest.raises(OSError, match=r"\.a\.part"):
        publish(tmp_path / ".a.part", tmp_path / "a")

    assert not (tmp_path / "a").exists()


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
