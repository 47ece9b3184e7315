"""A directory that has a mark is not compared row by row, and nothing is hidden by that."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection

from comfywatchman.disk import marks as on_disk
from comfywatchman.disk.walk import walk
from comfywatchman.domain.files import Folders
from comfywatchman.pipeline.sweeping import Tree, TreeNews, found_model, models_of, sweep_tree
from comfywatchman.state import marks, models
from tests.pipeline.office import Office, model_bytes, put_model

NAMES = ("a.safetensors", "b.safetensors", "c.gguf")


@pytest.fixture
def tree(folders: Folders) -> Tree:
    return Tree("models", "models", folders.models_root, models_of(folders))


@pytest.fixture
def loras(office: Office, folders: Folders, tree: Tree) -> Path:
    """A directory of three models, a directory and a file that is none; it has a mark."""
    directory = folders.models_root / "loras"
    for name in NAMES:
        put_model(directory / name)
        office.happens(*found_model(directory / name))
    (directory / "deeper").mkdir()
    (directory / "readme.txt").write_text("read me")
    mark(office, sweep_tree(tree, office.reader))
    assert marked(office, directory)
    return directory


def mark(office: Office, news: TreeNews) -> None:
    office.keeper.write(lambda c: marks.note(c, news.unmarked))


def marked(office: Office, directory: Path) -> bool:
    def ask(connection: Connection) -> on_disk.Mark | None:
        return marks.mark_of(connection)(os.fsencode(directory))

    return office.reader.read(ask) is not None


def kinds(news: TreeNews) -> dict[str, int]:
    return {kind: count for kind, count in news.found.counts() if count}


def test_a_directory_that_agrees_with_its_mark_is_as_it_was_known(
    office: Office, tree: Tree, loras: Path
) -> None:
    news = sweep_tree(tree, office.reader)

    assert kinds(news) == {}
    assert (news.files, news.unmarked) == (3, ())
    assert {os.fsencode(loras), os.fsencode(loras / "deeper")} <= news.directories.keys()


def test_its_rows_are_not_asked_for(office: Office, tree: Tree, loras: Path) -> None:
    asked: list[bytes] = []
    with office.reader.connect() as connection:
        known = models.known_in(connection)

        def ask(directory: bytes) -> dict[bytes, on_disk.Row]:
            asked.append(directory)
            return known(directory)

        found = {
            listing.path: listing.same
            for listing in walk(tree.root, tree.wanted, ask, marks=marks.mark_of(connection))
        }

    assert found[os.fsencode(loras)] == 3
    assert os.fsencode(loras) not in asked


def rewritten_with_its_times_set_back(directory: Path) -> dict[str, int]:
    path = directory / NAMES[0]
    was = path.stat()
    path.write_bytes(model_bytes("other"))
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    return {"changed": 1}


def replaced_with_equal_size_and_times(directory: Path) -> dict[str, int]:
    path, other = directory / NAMES[0], directory / "other"
    was = path.stat()
    other.write_bytes(model_bytes("other"))
    os.utime(other, ns=(was.st_atime_ns, was.st_mtime_ns))
    other.replace(path)
    return {"changed": 1}


def two_names_swapped(directory: Path) -> dict[str, int]:
    first, second, third = (directory / name for name in (NAMES[0], NAMES[1], "third"))
    first.rename(third)
    second.rename(first)
    third.rename(second)
    return {"changed": 2}


def removed_and_made_again(directory: Path) -> dict[str, int]:
    path = directory / NAMES[0]
    content, was = path.read_bytes(), path.stat()
    path.unlink()
    path.write_bytes(content)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    return {"changed": 1}


def removed(directory: Path) -> dict[str, int]:
    (directory / NAMES[0]).unlink()
    return {"removed": 1}


def renamed(directory: Path) -> dict[str, int]:
    (directory / NAMES[0]).rename(directory / "z.safetensors")
    return {"moved": 1}


def one_added(directory: Path) -> dict[str, int]:
    put_model(directory / "new.safetensors")
    return {"added": 1}


def another_name_of_one_added(directory: Path) -> dict[str, int]:
    (directory / "link.safetensors").hardlink_to(directory / NAMES[0])
    # The count of its names is no part of a stamp, but the time of the inode is.
    return {"added": 1, "changed": 1}


def a_file_in_place_of_the_directory_beside(directory: Path) -> dict[str, int]:
    (directory / "deeper").rmdir()
    put_model(directory / "deeper.safetensors")
    return {"added": 1}


def a_model_in_place_of_what_was_none(directory: Path) -> dict[str, int]:
    (directory / "readme.txt").rename(directory / "readme.safetensors")
    return {"added": 1}


def another_directory_in_its_place(directory: Path) -> dict[str, int]:
    other = directory.with_name("other")
    for name in NAMES:
        put_model(other / name)
        was = (directory / name).stat()
        os.utime(other / name, ns=(was.st_atime_ns, was.st_mtime_ns))
    directory.rename(directory.parent.parent / "aside")
    other.rename(directory)
    return {"changed": 3}


def a_link_in_place_of_a_file(directory: Path) -> dict[str, int]:
    path = directory / NAMES[0]
    aside = directory.parent.parent / "aside.safetensors"
    aside.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(aside)
    return {"changed": 1}


@pytest.mark.parametrize(
    "happens",
    [
        rewritten_with_its_times_set_back,
        replaced_with_equal_size_and_times,
        two_names_swapped,
        removed_and_made_again,
        removed,
        renamed,
        one_added,
        another_name_of_one_added,
        a_file_in_place_of_the_directory_beside,
        a_model_in_place_of_what_was_none,
        another_directory_in_its_place,
        a_link_in_place_of_a_file,
    ],
)
def test_what_differs_is_found_behind_a_mark_as_without_one(
    office: Office, tree: Tree, loras: Path, happens: Callable[[Path], dict[str, int]]
) -> None:
    expected = happens(loras)
    assert marked(office, loras)
    news = sweep_tree(tree, office.reader)

    assert kinds(news) == expected

    office.keeper.write(lambda c: c.exec_driver_sql("DELETE FROM sweep_marks"))
    without = sweep_tree(tree, office.reader)
    assert (news.found, news.files) == (without.found, without.files)
    assert (news.directories, news.odd) == (without.directories, without.odd)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE models SET mtime_ns = mtime_ns + 1 WHERE base LIKE 'a.%'",
        "UPDATE models SET ctime_ns = ctime_ns - 1 WHERE base LIKE 'a.%'",
        "UPDATE models SET size = 1",
        "UPDATE models SET inode = inode + 1",
        "UPDATE models SET device = device + 1 WHERE base LIKE 'c.%'",
        "UPDATE models SET directory = CAST('/elsewhere' AS BLOB) WHERE base LIKE 'a.%'",
        "UPDATE models SET path = CAST(path || 'x' AS BLOB) WHERE base LIKE 'a.%'",
        "DELETE FROM models WHERE base LIKE 'b.%'",
        "DELETE FROM models",
        "INSERT OR REPLACE INTO models (path, directory, base, stem, device, inode, size, mtime_ns,"
        " ctime_ns, whole, noted_at) SELECT path, directory, base, stem, device, inode, size,"
        " mtime_ns + 1, ctime_ns, whole, noted_at FROM models WHERE base LIKE 'a.%'",
        "INSERT INTO models (path, directory, base, stem, device, inode, size, mtime_ns, ctime_ns,"
        " whole, noted_at) SELECT CAST(path || 'x' AS BLOB), directory, base, stem, device, inode,"
        " size, mtime_ns, ctime_ns, whole, noted_at FROM models WHERE base LIKE 'a.%'",
    ],
)
def test_a_row_that_anybody_changed_ends_the_mark(
    office: Office, tree: Tree, loras: Path, change: str
) -> None:
    office.keeper.write(lambda c: c.exec_driver_sql(change))

    assert not marked(office, loras)
    found = sweep_tree(tree, office.reader).found
    assert found.drifts


def test_a_measure_leaves_the_mark(office: Office, loras: Path) -> None:
    path = loras / NAMES[0]
    known = office.reader.read(lambda c: models.one(c, path))
    assert known is not None
    office.measured(path, known.stamp, "ab" * 32)
    office.happens(*found_model(path))

    assert marked(office, loras)


def test_a_stamp_of_now_ends_the_mark(office: Office, loras: Path) -> None:
    put_model(loras / NAMES[0], model_bytes("other"))
    office.happens(*found_model(loras / NAMES[0]))

    assert not marked(office, loras)


def test_a_mark_is_of_the_rows_and_not_of_what_a_sweep_saw(
    office: Office, tree: Tree, loras: Path
) -> None:
    """A row that was removed between the walk and the mark is missed as without a mark."""
    office.keeper.write(lambda c: c.exec_driver_sql("DELETE FROM sweep_marks"))
    seen = sweep_tree(tree, office.reader)
    office.keeper.write(lambda c: models.forget(c, loras / NAMES[0]))
    mark(office, seen)

    assert kinds(sweep_tree(tree, office.reader)) == {"added": 1}


def test_two_words_on_one_new_file_leave_the_later_stamp(office: Office, loras: Path) -> None:
    path = loras / "new.safetensors"
    first = put_model(path)
    second = put_model(path, model_bytes(data=128))
    office.keeper.write(lambda c: models.note_found(c, [(path, first, True), (path, second, True)]))
    known = office.reader.read(lambda c: models.one(c, path))

    assert known is not None
    assert known.stamp == second
