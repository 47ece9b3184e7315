"""Which files are equal, and what keeping them once would save."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from comfywatchman.domain.files import Stamp
from comfywatchman.inventory.duplicates import Copy, alike, copies_of, groups
from tests.state.rows import HASH, OTHER_HASH


def stamp(inode: int, size: int = 100, *, device: int = 1, mtime: int = 5) -> Stamp:
    return Stamp(device, inode, size, mtime, mtime)


def copy(name: str, inode: int, *, links: int = 1, device: int = 1, mtime: int = 5) -> Copy:
    path = Path(f"/m/{name}")
    return Copy((path,), stamp(inode, device=device, mtime=mtime), HASH, (path,), links)


def test_hard_links_and_symlinks_to_one_file_are_one_copy() -> None:
    a, b = Path("/m/a"), Path("/m/b")
    found = copies_of([(b, stamp(1), None), (a, stamp(1), HASH), (Path("/m/c"), stamp(2), HASH)])

    assert [(one.paths, one.sha256) for one in found] == [
        ((a, b), HASH),
        ((Path("/m/c"),), HASH),
    ]


def test_the_same_inode_number_on_two_devices_is_two_files() -> None:
    assert (
        len(copies_of([(Path("/m/a"), stamp(1), None), (Path("/n/a"), stamp(1, device=2), None)]))
        == 2
    )


def test_only_files_of_equal_size_have_to_be_read_and_empty_ones_never() -> None:
    def sized(number: int, size: int) -> Copy:
        return Copy((Path(f"/m/{number}"),), stamp(number, size))

    found = alike([sized(1, 10), sized(2, 10), sized(3, 11), sized(4, 0), sized(5, 0)])

    assert [[one.stamp.inode for one in same] for same in found] == [[1, 2]]


def test_equal_hashes_are_a_group_and_what_nobody_measured_is_in_none() -> None:
    (group,) = groups([copy("a", 1), copy("b", 2), replace(copy("c", 3), sha256=None)])

    assert group.sha256 == HASH
    assert (group.wasted, group.saved) == (100, 100)
    assert groups([copy("a", 1), replace(copy("b", 2), sha256=OTHER_HASH)]) == []


def test_what_is_kept_is_the_one_with_most_names_then_the_oldest() -> None:
    (group,) = groups([copy("a", 1, mtime=9), copy("b", 2, links=2), copy("c", 3, mtime=1)])
    assert group.kept.path == Path("/m/b")

    (group,) = groups([copy("a", 1, mtime=9), copy("c", 3, mtime=1)])
    assert group.kept.path == Path("/m/c")


def test_a_copy_with_names_that_we_do_not_know_frees_nothing() -> None:
    (group,) = groups([copy("a", 1, links=3), copy("b", 2, links=2)])

    assert group.wasted == 100
    assert group.saved == 0
    assert [(kept.path.name, one.path.name) for kept, one in group.linkable] == [("a", "b")]


def test_copies_on_two_devices_waste_room_and_cannot_be_linked() -> None:
    (group,) = groups([copy("a", 1), copy("b", 2, device=2)])

    assert (group.wasted, group.saved, group.linkable) == (100, 0, ())


def test_on_each_device_one_copy_is_kept() -> None:
    (group,) = groups(
        [
            copy("a", 1),
            copy("b", 2),
            copy("c", 1, device=2, mtime=6),
            copy("d", 2, device=2, mtime=7),
        ]
    )

    assert [(k.path.name, c.path.name) for k, c in group.linkable] == [("a", "b"), ("c", "d")]


def test_a_file_that_is_only_known_through_symlinks_is_not_linked() -> None:
    (group,) = groups([copy("a", 1), replace(copy("b", 2), names=())])

    assert group.linkable == ()
