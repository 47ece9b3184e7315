from __future__ import annotations

import os
import threading
import unicodedata
from pathlib import Path, PurePosixPath

import pytest

from comfywatchman.disk.names import check_name, check_neighbors, open_beneath
from comfywatchman.domain.errors import FolderNotWritable, NameTaken, UnsafeName


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a.safetensors", "a.safetensors"),
        ("SDXL/sub dir/a (v1.0) [x], b+c&d.safetensors", None),
        ("SDXL\\a.safetensors", "SDXL/a.safetensors"),
        ("模型/ä.safetensors", None),
        ("con-trol.safetensors", None),
        ("console/comfy.pt", None),
        ("a..b.pt", None),
        ("a~.pt", None),
        ("x" * 251 + ".pt", None),
        ("ä" * 126 + ".pt", None),
    ],
)
def test_an_ordinary_name_is_taken_as_it_is(name: str, path: str | None) -> None:
    assert check_name(name) == PurePosixPath(path or name)


def test_the_spelling_of_accents_is_kept_since_comfyui_compares_exactly() -> None:
    decomposed = unicodedata.normalize("NFD", "ä.pt")

    assert str(check_name(decomposed)) == decomposed


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../a.pt",
        "a/../../b.pt",
        "a/..",
        "..\\..\\a.pt",
        "a/./b.pt",
        "/etc/passwd",
        "\\windows\\a.pt",
        "//server/share/a.pt",
        "\\\\server\\share\\a.pt",
        "\\\\?\\C:\\a.pt",
        "C:\\a.pt",
        "c:a.pt",
        "C:/a.pt",
        "~/a.pt",
        "~root/a.pt",
        "a//b.pt",
        "a/",
        "/",
        "a\0.pt",
        "a\n.pt",
        "a\x1b[31m.pt",
        "a\x7f.pt",
        "a\x85.pt",
        "a\u202etp.fdp",  # reads as another suffix
        "a\udcff.pt",
        ".hidden.pt",
        ".git/config",
        "a/.b/c.pt",
        "con",
        "CON.safetensors",
        "nul.tar.pt",
        "a/aux/b.pt",
        "com1.pt",
        "LPT9.pt",
        "a.pt.",
        "a.pt ",
        "a /b.pt",
        "a./b.pt",
        "x" * 253 + ".pt",
        "ä" * 127 + ".pt",
        "/".join("a" * 17),
        "/".join(["x" * 200] * 6),
    ],
)
def test_a_name_that_must_not_become_a_path_is_refused(name: str) -> None:
    with pytest.raises(UnsafeName) as caught:
        check_name(name)

    assert caught.value.cause.isprintable()


def test_directories_are_made_one_by_one_below_the_root(tmp_path: Path) -> None:
    descriptor = open_beneath(tmp_path, PurePosixPath("a/b/c.pt"), create=True)

    assert os.path.samestat(os.fstat(descriptor), (tmp_path / "a" / "b").stat())
    assert (tmp_path / "a").stat().st_mode & 0o777 & ~0o755 == 0
    os.close(descriptor)


def test_nothing_is_made_when_only_looking(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_beneath(tmp_path, PurePosixPath("a/b.pt"), create=False)

    assert list(tmp_path.iterdir()) == []


def test_the_root_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "root").symlink_to("real")

    os.close(open_beneath(tmp_path / "root", PurePosixPath("a/b.pt"), create=True))

    assert (tmp_path / "real" / "a").is_dir()


@pytest.mark.parametrize("absolute", [True, False])
def test_a_link_out_of_the_root_is_not_followed(tmp_path: Path, absolute: bool) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "a").symlink_to(outside if absolute else "../outside")

    with pytest.raises(UnsafeName, match="outside"):
        open_beneath(root, PurePosixPath("a/b/c.pt"), create=True)

    assert list(outside.iterdir()) == []


def test_a_link_within_the_root_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "a").symlink_to("real")

    os.close(open_beneath(tmp_path, PurePosixPath("a/b/c.pt"), create=True))

    assert (tmp_path / "real" / "b").is_dir()


def test_a_link_into_another_model_directory_is_followed(tmp_path: Path) -> None:
    root, second = tmp_path / "root", tmp_path / "second"
    root.mkdir()
    (second / "loras").mkdir(parents=True)
    (root / "a").symlink_to(second / "loras")

    os.close(open_beneath(root, PurePosixPath("a/b/c.pt"), create=True, also=[second]))

    assert (second / "loras" / "b").is_dir()


def test_links_that_lead_in_circles_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")

    with pytest.raises((UnsafeName, FolderNotWritable)):
        open_beneath(tmp_path, PurePosixPath("a/c.pt"), create=True)


def test_a_file_where_a_directory_should_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")

    with pytest.raises(FolderNotWritable, match="no directory"):
        open_beneath(tmp_path, PurePosixPath("a/b.pt"), create=True)


def test_nobody_who_swaps_a_directory_for_a_link_leads_us_out(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "a").mkdir(parents=True)
    (outside / "b").mkdir(parents=True)
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            (root / "a").rename(root / "aside")
            (root / "a").symlink_to(outside)
            (root / "a").unlink()
            (root / "aside").rename(root / "a")

    swapping = threading.Thread(target=swap)
    swapping.start()
    escaped, reached = 0, 0
    inside = os.path.realpath(root)
    for _ in range(20_000):
        try:
            descriptor = open_beneath(root, PurePosixPath("a/b/c.pt"), create=False)
        except (UnsafeName, FolderNotWritable, FileNotFoundError):
            continue
        reached += 1
        opened = os.fstat(descriptor)
        escaped += os.path.samestat(opened, (outside / "b").stat())
        os.close(descriptor)
    over.set()
    swapping.join()

    assert escaped == 0
    assert inside == os.path.realpath(root)
    assert reached == 0  # there is a directory b outside alone


@pytest.mark.parametrize("other", ["A.PT", "a.Pt"])
def test_a_name_that_differs_only_in_case_is_taken(tmp_path: Path, other: str) -> None:
    (tmp_path / other).write_bytes(b"")
    descriptor = os.open(tmp_path, os.O_RDONLY)

    with pytest.raises(NameTaken):
        check_neighbors(descriptor, "a.pt", tmp_path / "a.pt")

    os.close(descriptor)


def test_a_name_that_differs_only_in_how_accents_are_written_is_taken(tmp_path: Path) -> None:
    (tmp_path / unicodedata.normalize("NFD", "ä.pt")).write_bytes(b"")
    descriptor = os.open(tmp_path, os.O_RDONLY)

    with pytest.raises(NameTaken):
        check_neighbors(descriptor, unicodedata.normalize("NFC", "ä.pt"), tmp_path / "ä.pt")

    os.close(descriptor)
