from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path

import pytest

from comfywatchman.disk.files import look
from comfywatchman.domain.errors import FileUnreadable, Interrupted
from comfywatchman.domain.files import CHECKPOINT_SUFFIXES, Measured
from comfywatchman.inventory import Changed, examine_model, is_model, is_temporary, measure_model

EVERY_FILE: frozenset[str] = frozenset()


def safetensors(data: int = 64) -> bytes:
    header = json.dumps({"w": {"dtype": "U8", "shape": [data], "data_offsets": [0, data]}})
    return len(header).to_bytes(8, "little") + header.encode() + bytes(data)


@pytest.mark.parametrize(
    "name",
    ["a.safetensors", "A.SafeTensors", "a b.ckpt", "v1.5.pth", "tmp.bin", "a.part.pt", ".a.pt"],
)
def test_a_name_with_a_suffix_of_the_folder_is_a_model(name: str) -> None:
    assert is_model(name, CHECKPOINT_SUFFIXES)


@pytest.mark.parametrize(
    "name", ["a.txt", "safetensors", "a.safetensors.aria2", ".safetensors", "._a.safetensors"]
)
def test_a_name_without_one_is_none(name: str) -> None:
    assert not is_model(name, CHECKPOINT_SUFFIXES)


@pytest.mark.parametrize(
    "name",
    [
        "a.safetensors.part",  # Firefox, yt-dlp
        "a.safetensors.aria2",
        "a.safetensors.crdownload",
        "Unconfirmed 123456.crdownload",
        "Unconfirmed model.safetensors.tmp",
        "model.safetensors.aria2__temp",
        "model.safetensors.fdmdownload",
        "model.safetensors.st",
        "Unconfirmed 123456.tmp",
        "0f1e2d.incomplete",  # huggingface_hub
        "a.safetensors.!qB",
        ".a.safetensors.Xy12Zw",  # rsync
        ".a.safetensors.0f1e.part",  # ours
        "a.TMP",
    ],
)
def test_what_download_tools_write_to_is_no_model_even_where_every_file_is(name: str) -> None:
    assert is_temporary(name)
    assert not is_model(name, EVERY_FILE)


def test_where_every_file_counts_or_those_without_a_suffix_they_do() -> None:
    assert is_model("anything.xyz", EVERY_FILE)
    assert is_model("vocabulary", frozenset({""}))
    assert not is_model("vocabulary.txt", frozenset({""}))


def test_a_whole_file_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(safetensors())
    examined = examine_model(file)

    assert examined.whole
    assert examined.trouble is None
    assert examined.stamp == look(file)


@pytest.mark.parametrize("length", [0, 20, 100])
def test_a_file_shorter_than_its_header_says_is_arriving(tmp_path: Path, length: int) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(safetensors(1000)[:length])
    examined = examine_model(file)

    assert not examined.whole
    assert examined.trouble is not None
    assert examined.trouble.code == "model-incomplete"


@pytest.mark.parametrize(
    "content",
    [b"<!DOCTYPE html><title>Sign in</title>", b"version https://git-lfs.github.com/spec/v1\n"],
)
def test_a_web_page_or_a_pointer_under_a_models_name_is_in_trouble(
    tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(content)
    trouble = examine_model(file).trouble

    assert trouble is not None
    assert trouble.code == "verification-failed"
    assert str(file) in trouble.cause


@pytest.mark.parametrize("suffix", [".aria2", ".part", ".crdownload"])
def test_a_file_with_a_downloads_companion_beside_it_is_arriving(
    tmp_path: Path, suffix: str
) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(safetensors())
    file.with_name(file.name + suffix).touch()
    while_fetched = examine_model(file).whole
    file.with_name(file.name + suffix).unlink()

    assert not while_fetched
    assert examine_model(file).whole


def test_a_file_that_is_nearly_all_hole_is_arriving(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(safetensors(16 << 20)[:200])
    os.truncate(file, len(safetensors(16 << 20)))

    assert not examine_model(file).whole


def test_what_is_gone_or_a_directory_cannot_be_examined(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadable):
        examine_model(tmp_path / "gone.safetensors")
    with pytest.raises(FileUnreadable):
        examine_model(tmp_path)


def test_a_file_is_measured_with_the_stamp_to_know_it_by(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(b"x" * 3_000_000)
    done: list[int] = []

    assert measure_model(file, threading.Event(), done.append) == (
        Measured(3_000_000, hashlib.sha256(b"x" * 3_000_000).hexdigest()),
        look(file),
    )
    assert done[-1] == 3_000_000


def test_a_file_that_is_written_to_while_it_is_read_is_not_recorded(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(b"x" * 3_000_000)

    def write_on(done: int) -> None:
        with file.open("r+b") as opened:
            opened.write(b"y")

    assert measure_model(file, threading.Event(), write_on) == Changed(file)


def test_a_file_that_is_replaced_by_an_equal_one_while_it_is_read_is_not_recorded(
    tmp_path: Path,
) -> None:
    file, other = tmp_path / "a.safetensors", tmp_path / "b"
    for one in (file, other):
        one.write_bytes(b"x" * 1000)
        os.utime(one, (1, 1))

    def replace(done: int) -> None:
        other.replace(file)

    assert measure_model(file, threading.Event(), replace) == Changed(file)


def test_a_file_that_goes_while_it_is_read_is_not_recorded(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(b"x" * 1000)

    assert measure_model(file, threading.Event(), lambda _: file.unlink()) == Changed(file)
    assert measure_model(file, threading.Event()) == Changed(file)


def test_a_measure_ends_when_it_is_told_to(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(b"x" * 1000)
    stop = threading.Event()
    stop.set()

    with pytest.raises(Interrupted):
        measure_model(file, stop)
