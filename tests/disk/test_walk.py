from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from comfywatchman.disk.files import stamp_of
from comfywatchman.disk.walk import QUARANTINE, walk


def everything(name: str) -> bool:
    return True


def models(name: str) -> bool:
    return name.endswith(".safetensors")


def listed(root: Path) -> dict[Path, set[str]]:
    return {one.directory: {name for name, _ in one.files} for one in walk(root, everything)}


@pytest.fixture
def ours_without_rights() -> Iterator[Path]:
    """A directory of a user for whom permissions count, which they do not for root."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    directory = Path(tempfile.mkdtemp())
    yield directory
    (directory / "closed").chmod(0o700)
    shutil.rmtree(directory)
    if root:
        os.seteuid(0)


def test_each_directory_is_listed_once_with_the_stamps_of_its_files(tmp_path: Path) -> None:
    file = tmp_path / "loras" / "style" / "a.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"12345")
    (file.parent / "notes.txt").write_bytes(b"")

    listings = {one.directory: one for one in walk(tmp_path, models)}

    assert set(listings) == {tmp_path, tmp_path / "loras", file.parent}
    assert listings[file.parent].files == (("a.safetensors", stamp_of(file.stat())),)
    status = file.parent.stat()
    assert listings[file.parent].identity == (status.st_dev, status.st_ino)


def test_ten_thousand_files_are_the_ones_that_find_finds(tmp_path: Path) -> None:
    for directory in range(100):
        below = tmp_path / f"d{directory % 7}" / f"e{directory}"
        below.mkdir(parents=True)
        for number in range(100):
            (below / f"{number}.safetensors").touch()

    ours = {
        str(one.directory / name) for one in walk(tmp_path, everything) for name, _ in one.files
    }

    find = shutil.which("find")
    assert find is not None
    told = subprocess.run(
        [find, tmp_path, "-type", "f"], capture_output=True, check=True, text=True
    )
    assert ours == set(told.stdout.splitlines())
    assert len(ours) == 10_000


def test_symlinked_files_and_directories_are_followed(tmp_path: Path) -> None:
    elsewhere, root = tmp_path / "elsewhere", tmp_path / "models"
    (elsewhere / "deep").mkdir(parents=True)
    root.mkdir()
    (elsewhere / "deep" / "a.safetensors").write_bytes(b"1")
    (root / "b.safetensors").symlink_to(elsewhere / "deep" / "a.safetensors")
    (root / "loras").symlink_to(elsewhere)

    listings = {one.directory: one for one in walk(root, models)}

    assert [name for name, _ in listings[root].files] == ["b.safetensors"]
    assert [name for name, _ in listings[root / "loras" / "deep"].files] == ["a.safetensors"]
    assert listings[root / "loras"].linked
    assert listings[root / "loras"].real == elsewhere.resolve()
    assert not listings[root / "loras" / "deep"].linked
    assert listings[root / "loras" / "deep"].real == elsewhere.resolve() / "deep"


def test_a_root_that_is_a_symlink_keeps_the_name_it_was_given(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").touch()
    (tmp_path / "alias").symlink_to("real")

    (listing,) = walk(tmp_path / "alias", everything)

    assert listing.directory == tmp_path / "alias"
    assert listing.linked
    assert listing.real == (tmp_path / "real").resolve()


def test_loops_of_links_end(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").touch()
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "b" / "itself").symlink_to("itself")

    assert listed(tmp_path) == {
        tmp_path: set(),
        tmp_path / "a": set(),
        tmp_path / "a" / "b": {"file"},
    }


def test_directories_that_all_link_to_each_other_end(tmp_path: Path) -> None:
    names = [f"d{number}" for number in range(9)]
    for name in names:
        (tmp_path / name).mkdir()
        for other in names:
            if other != name:
                (tmp_path / name / f"to-{other}").symlink_to(tmp_path / other)

    assert len(list(walk(tmp_path, everything))) < 1_000


def test_git_and_our_quarantine_are_left_out(tmp_path: Path) -> None:
    for name in (".git", QUARANTINE, "loras"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").touch()

    assert listed(tmp_path) == {tmp_path: set(), tmp_path / "loras": {"a"}}


def test_what_is_no_regular_file_is_left_out(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    (listing,) = walk(tmp_path, lambda name: name == "pipe")

    assert listing.files == ()
    assert listing.unclear == ()


def test_a_file_behind_a_dead_or_looping_link_is_unclear(tmp_path: Path) -> None:
    (tmp_path / "dead.safetensors").symlink_to("nowhere")
    (tmp_path / "loop.safetensors").symlink_to("loop.safetensors")

    (listing,) = walk(tmp_path, models)

    assert listing.files == ()
    assert sorted(listing.unclear) == ["dead.safetensors", "loop.safetensors"]


def test_a_dead_link_may_be_a_drive_that_is_not_plugged_in(tmp_path: Path) -> None:
    (tmp_path / "nas").symlink_to("/nonexistent/drive")

    root, link = walk(tmp_path, models)

    assert root.trouble is None
    assert link.directory == tmp_path / "nas"
    assert link.trouble is not None
    assert link.trouble.code == "root-offline"


def test_a_missing_root_is_in_trouble_and_not_empty(tmp_path: Path) -> None:
    (listing,) = walk(tmp_path / "gone", everything)

    assert listing.trouble is not None
    assert listing.trouble.code == "root-offline"


def test_a_directory_that_may_not_be_read_is_in_trouble_and_the_rest_goes_on(
    ours_without_rights: Path,
) -> None:
    root = ours_without_rights
    (root / "open").mkdir()
    (root / "open" / "a").touch()
    (root / "closed").mkdir(mode=0)

    listings = {one.directory: one for one in walk(root, everything)}

    trouble = listings[root / "closed"].trouble
    assert trouble is not None
    assert trouble.code == "file-unreadable"
    assert [name for name, _ in listings[root / "open"].files] == ["a"]


def test_a_file_that_may_not_be_looked_at_is_unclear(ours_without_rights: Path) -> None:
    root = ours_without_rights
    (root / "closed").mkdir()
    (root / "closed" / "a.safetensors").touch()
    (root / "b.safetensors").symlink_to(root / "closed" / "a.safetensors")
    (root / "closed").chmod(0)

    listings = {one.directory: one for one in walk(root, models)}

    assert listings[root].files == ()
    assert listings[root].unclear == ("b.safetensors",)
    assert listings[root].trouble is None


def test_names_that_are_no_utf8_or_hold_a_newline_are_listed(tmp_path: Path) -> None:
    odd = os.fsdecode(b"caf\xe9\n.safetensors")
    (tmp_path / odd).touch()

    assert listed(tmp_path) == {tmp_path: {odd}}


def test_a_walk_of_a_part_of_a_tree_knows_the_way_that_leads_there(tmp_path: Path) -> None:
    loras = tmp_path / "loras"
    loras.mkdir()
    (loras / "a").touch()
    (loras / "loop").symlink_to("..")
    inside = list(walk(loras / "loop", everything, within=tmp_path))
    deeper = list(walk(loras / "loop" / "loras", everything, within=tmp_path))

    assert (inside, deeper) == ([], [])
    assert [one.directory for one in walk(loras, everything, within=tmp_path)] == [loras]


def test_names_of_models_that_are_no_files_are_told_each_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "dead.safetensors").symlink_to("nowhere")
    (tmp_path / "loop.safetensors").symlink_to("loop.safetensors")
    os.mkfifo(tmp_path / "pipe.safetensors")
    (tmp_path / "dead.txt").symlink_to("nowhere")
    (tmp_path / "whole.safetensors").touch()
    (one, *_) = walk(tmp_path, models)

    assert {name: why.cause.partition(" is ")[2] for name, why in one.odd} == {
        "dead.safetensors": "a link that leads to nothing.",
        "loop.safetensors": "a link that leads in a circle.",
        "pipe.safetensors": "a pipe or a device, and no file.",
    }
    assert [name for name, _ in one.files] == ["whole.safetensors"]
