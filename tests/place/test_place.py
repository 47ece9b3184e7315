from __future__ import annotations

import hashlib
import os
import stat
import threading
import unicodedata
from pathlib import Path

import pytest

from comfywatchman.domain.errors import (
    BeingFetched,
    FolderNotWritable,
    Interrupted,
    NameTaken,
    UnknownFolder,
    UnsafeName,
    VerificationFailed,
    WatchmanError,
)
from comfywatchman.domain.files import Folder, Folders, Measured
from comfywatchman.place import (
    Target,
    link_existing,
    part_name,
    plan,
    quarantine,
    staged,
)
from comfywatchman.place import publish_target as publish_open

DATA = b"the bytes of a model"
SHM = Path("/dev/shm")


def measured(data: bytes = DATA) -> Measured:
    return Measured(len(data), hashlib.sha256(data).hexdigest())


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    root = tmp_path / "ComfyUI"
    models = root / "models"
    (models / "loras").mkdir(parents=True)
    (root / "custom_nodes" / "pack" / "models").mkdir(parents=True)
    (models / "sneaky").symlink_to(root / "custom_nodes" / "pack" / "models")
    table = {
        name: Folder(name, (path,), write_root=path)
        for name, path in {
            "loras": models / "loras",
            "vae": models / "vae",
            "packed": root / "custom_nodes" / "pack" / "models",
            "sneaky": models / "sneaky",
            "custom_nodes": root / "custom_nodes",
            "configs": models / "configs",
            "away": tmp_path / "mnt" / "disk" / "models" / "loras",
        }.items()
    }
    table["anything"] = Folder("anything", (models / "any",), frozenset(), models / "any")
    table["nowhere"] = Folder("nowhere", ())
    return Folders(root, models, table)


@pytest.fixture
def target(folders: Folders) -> Target:
    return plan(folders, "loras", "detail.safetensors", "a-hash")


def stage(target: Target, data: bytes = DATA) -> None:
    with staged(target) as part:
        part.append(data)


def publish_target(target: Target, what: Measured) -> Path:
    """Publish what was staged before."""
    with staged(target) as part:
        return publish_open(target, part, what)


def test_a_plan_names_the_final_file_and_a_part_beside_it(folders: Folders) -> None:
    target = plan(folders, "loras", "SDXL/detail.safetensors", "a-hash")

    root = folders.models_root / "loras"
    assert target.final == root / "SDXL" / "detail.safetensors"
    assert target.part.parent == target.final.parent
    assert target.part.name.startswith(".detail.safetensors.")
    assert target.part.name.endswith(".part")
    assert list(root.iterdir()) == []  # nothing is written by planning


def test_the_same_fingerprint_finds_the_same_part(folders: Folders) -> None:
    parts = [plan(folders, "loras", "a.safetensors", f).part for f in ("x", "x", "y")]

    assert parts[0] == parts[1] != parts[2]


@pytest.mark.parametrize("name", ["x" * 241 + ".safetensors", "ä" * 121 + ".safetensors"])
def test_the_part_of_a_long_name_is_short_enough(tmp_path: Path, name: str) -> None:
    part = part_name(name, "a-hash")

    assert len(part.encode()) <= 255
    assert part != part_name("y" + name[1:], "a-hash")
    (tmp_path / part).touch()


def test_a_folder_that_no_table_knows_lies_below_models(folders: Folders) -> None:
    target = plan(folders, "ipadapter", "a.safetensors", "x")

    assert target.final == folders.models_root / "ipadapter" / "a.safetensors"


@pytest.mark.parametrize(
    ("folder", "name", "error"),
    [
        ("loras", "../vae/a.safetensors", UnsafeName),
        ("loras", "..\\..\\a.safetensors", UnsafeName),
        ("loras", "/etc/a.safetensors", UnsafeName),
        ("loras", "a\0.safetensors", UnsafeName),
        ("loras", "x" * 300 + ".safetensors", UnsafeName),
        ("loras", "a.py", UnsafeName),
        ("loras", "a", UnsafeName),
        ("loras", "a.safetensors.exe", UnsafeName),
        ("anything", "a.py", UnsafeName),
        ("anything", "a.SO", UnsafeName),
        ("../..", "a.safetensors", UnsafeName),
        ("/etc", "a.safetensors", UnsafeName),
        ("", "a.safetensors", UnsafeName),
        ("custom_nodes", "a.safetensors", UnknownFolder),
        ("custom_nodes/pack", "a.safetensors", UnknownFolder),
        ("configs", "a.safetensors", UnknownFolder),
        ("packed", "a.safetensors", UnknownFolder),
        ("sneaky", "a.safetensors", UnknownFolder),
        ("nowhere", "a.safetensors", UnknownFolder),
        ("away", "a.safetensors", FolderNotWritable),  # a disk that is not mounted
    ],
)
def test_what_must_not_be_placed_is_refused(
    folders: Folders, folder: str, name: str, error: type[WatchmanError]
) -> None:
    with pytest.raises(WatchmanError) as caught:
        plan(folders, folder, name, "x")

    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("loras", "a.GGUF"),
        ("loras", "a.onnx"),
        ("loras", "a.SafeTensors"),
        ("anything", "config.json"),
        ("vae", "new/directory/a.pt"),
        ("ultralytics/bbox", "a.pt"),
    ],
)
def test_what_comfyui_or_its_packs_list_is_planned(
    folders: Folders, folder: str, name: str
) -> None:
    assert plan(folders, folder, name, "x").final.name == Path(name).name


def test_a_linked_directory_that_leads_away_is_refused(folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (folders.models_root / "loras" / "sub").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(UnsafeName, match="model_directories"):
        plan(folders, "loras", "sub/a.safetensors", "x")


def test_a_linked_directory_that_leads_to_other_models_is_used(folders: Folders) -> None:
    (folders.models_root / "vae").mkdir()
    (folders.models_root / "loras" / "sub").symlink_to(folders.models_root / "vae")
    target = plan(folders, "loras", "sub/a.safetensors", "x")
    stage(target)

    publish_target(target, measured())

    assert (folders.models_root / "vae" / "a.safetensors").read_bytes() == DATA


@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        ("Detail.safetensors", "detail.safetensors"),
        (
            unicodedata.normalize("NFD", "ä.safetensors"),
            unicodedata.normalize("NFC", "ä.safetensors"),
        ),
    ],
)
def test_a_name_that_only_reads_differently_is_taken(
    folders: Folders, target: Target, there: str, wanted: str
) -> None:
    other = plan(folders, "loras", wanted, "x")
    (target.root / there).write_bytes(b"theirs")
    stage(other)

    with pytest.raises(NameTaken):
        plan(folders, "loras", wanted, "x")
    with pytest.raises(NameTaken):
        publish_target(other, measured())


def test_verified_bytes_get_their_name(target: Target) -> None:
    stage(target)

    final = publish_target(target, measured())

    assert final == target.final
    assert final.read_bytes() == DATA
    assert [path.name for path in target.root.iterdir()] == ["detail.safetensors"]
    assert stat.S_IMODE(final.stat().st_mode) & ~0o644 == 0


def test_placing_never_replaces_a_file(target: Target) -> None:
    stage(target)
    target.final.write_bytes(b"theirs")

    with pytest.raises(NameTaken):
        publish_target(target, measured())

    assert target.final.read_bytes() == b"theirs"
    assert target.part.read_bytes() == DATA


def test_placing_onto_the_same_bytes_is_done_already(target: Target) -> None:
    stage(target)
    target.final.write_bytes(DATA)

    publish_target(target, measured())

    assert target.final.read_bytes() == DATA
    assert not target.part.exists()


def test_a_part_that_has_its_final_name_since_a_crash_is_not_written_to(target: Target) -> None:
    stage(target)
    target.final.hardlink_to(target.part)

    with staged(target) as part:
        part.append(b"more")

    assert target.final.read_bytes() == DATA


def test_a_part_that_is_gone_is_not_placed(target: Target) -> None:
    with staged(target) as part:
        part.append(DATA)
        target.part.unlink()
        with pytest.raises(FolderNotWritable):
            publish_open(target, part, measured())

    assert not target.final.exists()


def test_a_part_that_changed_since_it_was_measured_is_not_placed(target: Target) -> None:
    stage(target, DATA + b"!")

    with pytest.raises(VerificationFailed):
        publish_target(target, measured())

    assert not target.final.exists()


def test_a_part_that_somebody_writes_is_not_placed(target: Target) -> None:
    stage(target)

    with staged(target), pytest.raises(BeingFetched):
        publish_target(target, measured())


def test_a_directory_swapped_for_a_link_leads_nothing_out(folders: Folders, tmp_path: Path) -> None:
    target = plan(folders, "loras", "sub/a.safetensors", "x")
    stage(target)
    outside = tmp_path / "outside"
    target.final.parent.rename(outside)
    (target.root / "sub").symlink_to(outside)

    with pytest.raises(UnsafeName):
        publish_target(target, measured())

    assert not (outside / "a.safetensors").exists()


def test_a_file_of_this_machine_is_linked_and_not_copied(target: Target, tmp_path: Path) -> None:
    source = tmp_path / "elsewhere.safetensors"
    source.write_bytes(DATA)
    stage(target, b"half of an earlier fetch")

    assert link_existing(source, target)

    assert target.final.samefile(source)
    assert not target.part.exists()


def test_what_a_link_leads_to_is_linked_and_not_the_link(target: Target, tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(DATA)
    (tmp_path / "link").symlink_to("real")

    assert link_existing(tmp_path / "link", target)

    assert not target.final.is_symlink()


@pytest.fixture
def other_disk(tmp_path: Path) -> Path:
    if not SHM.is_dir() or SHM.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    return SHM


def test_a_file_of_another_file_system_is_copied(target: Target, other_disk: Path) -> None:
    source = other_disk / f"comfywatchman-test-{os.getpid()}"
    data = os.urandom(3 << 20)
    source.write_bytes(data)
    try:
        assert link_existing(source, target)
    finally:
        source.unlink()

    assert target.final.read_bytes() == data
    assert [path.name for path in target.root.iterdir()] == ["detail.safetensors"]


def test_a_copy_stops_when_we_stop(target: Target, other_disk: Path) -> None:
    source = other_disk / f"comfywatchman-test-{os.getpid()}"
    source.write_bytes(bytes(3 << 20))
    stop = threading.Event()
    stop.set()
    try:
        with pytest.raises(Interrupted):
            link_existing(source, target, stop)
    finally:
        source.unlink()

    assert not target.final.exists()


def test_linking_never_replaces_a_file(target: Target, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(DATA)
    target.final.write_bytes(b"theirs")

    with pytest.raises(NameTaken):
        link_existing(source, target)

    assert target.final.read_bytes() == b"theirs"


def test_linking_what_is_there_already_is_done(target: Target, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(DATA)

    assert link_existing(source, target)
    assert link_existing(source, target)


@pytest.mark.parametrize("kind", ["absent", "directory", "pipe"])
def test_what_is_no_file_is_not_linked(target: Target, tmp_path: Path, kind: str) -> None:
    source = tmp_path / "source"
    if kind == "directory":
        source.mkdir()
    elif kind == "pipe":
        os.mkfifo(source)

    assert not link_existing(source, target)
    assert not target.final.exists()


def test_what_failed_is_put_aside_with_a_note_and_replaces_nothing(target: Target) -> None:
    kept = []
    for number in range(3):
        stage(target, b"bad %d" % number)
        with staged(target) as part:
            kept.append(quarantine(part, "the hash is wrong"))

    assert len(set(kept)) == 3
    assert [path.read_bytes() for path in kept] == [b"bad 0", b"bad 1", b"bad 2"]
    assert {path.parent.name for path in kept} == {".comfywatchman-quarantine"}
    assert {path.suffix for path in kept} == {".part"}  # no loader lists it
    assert Path(f"{kept[2]}.txt").read_text() == "the hash is wrong\n"
    assert not target.part.exists()


def test_a_quarantine_that_is_a_link_is_not_used(target: Target, tmp_path: Path) -> None:
    stage(target)
    (target.root / ".comfywatchman-quarantine").symlink_to(tmp_path)

    with staged(target) as part, pytest.raises(WatchmanError):
        quarantine(part, "why")

    assert target.part.exists()
