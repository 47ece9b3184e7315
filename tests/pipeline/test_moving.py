"""A file under another name keeps its hash, if a sample of its bytes is as it was."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from comfywatchman.disk.files import look
from comfywatchman.domain.files import Folders, Reading, Stamp
from comfywatchman.domain.messages import ModelFound, ModelMoved
from comfywatchman.inventory import read_model, sample_of
from comfywatchman.pipeline.moving import moved, under_known_names
from comfywatchman.pipeline.verifying import verdict
from comfywatchman.state import hashes, models
from tests.pipeline.office import Office, put_model, sha256


def known_file(office: Office, path: Path, content: bytes) -> None:
    """Have *path* in the inventory, measured."""
    put_model(path, content)
    known_file_again(office, path)


def known_file_again(office: Office, path: Path) -> None:
    seen = look(path)
    assert seen is not None
    office.happens(ModelFound(path, seen.size, whole=True, stamp=seen))
    reading = read_model(path, threading.Event())
    office.keeper.write(lambda c: hashes.measured(c, path, reading))  # type: ignore[arg-type]  # nobody writes it


def renamed(office: Office, before: Path, after: Path, *, heard: bool = True) -> ModelMoved:
    after.parent.mkdir(exist_ok=True)
    before.rename(after)
    return noticed(office, before, after, heard=heard)


def noticed(office: Office, before: Path, after: Path, *, heard: bool) -> ModelMoved:
    seen = look(after)
    assert seen is not None
    event = moved(office.reader, after, before, seen, heard=heard)
    office.happens(event)
    return event


def hash_of(office: Office, path: Path) -> str | None:
    known = office.reader.read(lambda c: hashes.known(c, path))
    assert known is not None
    return known.sha256


def found_out(office: Office, paths: list[Path]) -> list[ModelMoved]:
    """Compare *paths* with the rows as a sweep does that nobody told of anything."""
    seen = [(path, stamp) for path in paths if (stamp := look(path)) is not None]
    changed = [each for each in seen if each[1] != stamp_in_row(office, each[0])]
    events = under_known_names(office.reader, changed, look)
    office.happens(*events)
    return events


def stamp_in_row(office: Office, path: Path) -> Stamp | None:
    row = office.reader.read(lambda c: models.one(c, path))
    return None if row is None else row.stamp


def test_names_exchanged_while_nobody_heard_keep_their_hashes_until_measured_once_more(
    office: Office, folders: Folders
) -> None:
    loras = folders.models_root / "loras"
    first, second, third = (loras / f"{name}.safetensors" for name in "abc")
    contents = {path: os.urandom(300_000) for path in (first, second, third)}
    for path, content in contents.items():
        known_file(office, path, content)
    aside = loras / "aside"
    for before, after in ((first, aside), (second, first), (third, second), (aside, third)):
        before.rename(after)

    told = found_out(office, [first, second, third])

    assert [(each.before, each.path) for each in told] == [
        (second, first),
        (third, second),
        (first, third),
    ]
    for each in told:
        assert each.exchanged
        assert hash_of(office, each.path) == sha256(contents[each.before])
    assert office.reader.read(hashes.backlog)[0] == 3


def test_a_file_renamed_over_another_takes_its_hash_along(office: Office, folders: Folders) -> None:
    loras = folders.models_root / "loras"
    first, second, free = (loras / f"{name}.safetensors" for name in "abc")
    contents = {path: os.urandom(300_000) for path in (first, second)}
    for path, content in contents.items():
        known_file(office, path, content)
    second.rename(free)
    first.rename(second)

    told = found_out(office, [free, second])

    assert [(each.before, each.path, each.exchanged) for each in told] == [
        (second, free, True),
        (first, second, False),
    ]
    assert hash_of(office, free) == sha256(contents[second])
    assert hash_of(office, second) == sha256(contents[first])
    assert stamp_in_row(office, first) is None


def test_a_file_written_anew_and_a_further_name_of_one_are_no_renames(
    office: Office, folders: Folders
) -> None:
    first, second = (folders.models_root / f"loras/{name}.safetensors" for name in "ab")
    known_file(office, first, os.urandom(300_000))
    known_file(office, second, os.urandom(300_000))
    first.write_bytes(os.urandom(300_000))
    link = first.with_name("link.safetensors")
    link.hardlink_to(second)

    assert found_out(office, [first, link]) == []


def test_a_renamed_file_keeps_everything_that_is_known_of_its_bytes(
    office: Office, folders: Folders
) -> None:
    before, content = folders.models_root / "loras/a.safetensors", os.urandom(500_000)
    after = folders.models_root / "vae/b.safetensors"
    known_file(office, before, content)
    told = renamed(office, before, after)

    assert told.same_bytes
    assert hash_of(office, after) == sha256(content)
    assert office.reader.read(hashes.backlog) == (0, 0)


def test_a_rename_of_which_nobody_heard_keeps_the_hash_until_it_is_measured_once_more(
    office: Office, folders: Folders
) -> None:
    """In the middle of the file other bytes may lie, with the clock set back."""
    before, content = folders.models_root / "loras/a.safetensors", os.urandom(500_000)
    after = folders.models_root / "vae/b.safetensors"
    known_file(office, before, content)
    at = before.stat().st_mtime_ns
    with before.open("r+b") as file:
        file.seek(250_000)
        file.write(b"other bytes")
    os.utime(before, ns=(at, at))
    told = renamed(office, before, after, heard=False)

    assert told.same_bytes
    assert not told.proven
    assert hash_of(office, after) == sha256(content)
    assert office.reader.read(hashes.backlog) == (1, 500_000)
    assert office.reader.read(lambda c: models.hashed(c, sha256(content))) == []
    again = read_model(after, threading.Event())
    assert isinstance(again, Reading)
    known = office.reader.read(lambda c: hashes.known(c, after))
    assert verdict(after, again, known, folders).outcome == "measured"  # and no word of the disk


def test_a_file_whose_directory_was_renamed_is_not_measured_again(
    office: Office, folders: Folders
) -> None:
    before, content = folders.models_root / "loras/old/a.safetensors", os.urandom(500_000)
    known_file(office, before, content)
    before.parent.rename(folders.models_root / "loras/new")
    told = noticed(office, before, folders.models_root / "loras/new/a.safetensors", heard=False)

    assert told.proven
    assert office.reader.read(hashes.backlog) == (0, 0)


def test_a_file_with_another_name_may_have_been_written_through_that_one(
    office: Office, folders: Folders, tmp_path: Path
) -> None:
    before, content = folders.models_root / "loras/a.safetensors", os.urandom(500_000)
    put_model(before, content)
    os.link(before, tmp_path / "other")
    known_file_again(office, before)

    assert not renamed(office, before, folders.models_root / "vae/b.safetensors").proven


def test_a_file_that_was_written_to_on_its_way_is_measured_again(
    office: Office, folders: Folders
) -> None:
    """Size, inode and modification time are the same: whoever wrote set the clock back."""
    before, content = folders.models_root / "loras/a.safetensors", os.urandom(500_000)
    after = folders.models_root / "loras/b.safetensors"
    known_file(office, before, content)
    at = before.stat().st_mtime_ns
    with before.open("r+b") as file:
        file.write(b"other bytes")
    os.utime(before, ns=(at, at))
    told = renamed(office, before, after)

    assert not told.same_bytes
    assert hash_of(office, after) is None
    assert office.reader.read(hashes.backlog) == (1, 500_000)


def test_a_file_of_which_no_sample_was_taken_is_measured_again(
    office: Office, folders: Folders
) -> None:
    before, after = (folders.models_root / f"loras/{name}.safetensors" for name in "ab")
    seen = put_model(before)
    office.happens(ModelFound(before, seen.size, whole=True, stamp=seen))
    office.measured(before, seen, "ab" * 32)

    assert not renamed(office, before, after).same_bytes


def test_a_file_that_was_never_measured_has_nothing_to_lose(
    office: Office, folders: Folders
) -> None:
    before, after = (folders.models_root / f"loras/{name}.safetensors" for name in "ab")
    seen = put_model(before)
    office.happens(ModelFound(before, seen.size, whole=True, stamp=seen))

    assert renamed(office, before, after).same_bytes


def test_a_renamed_file_is_known_by_128_kib_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(os.urandom(3_000_000))
    before = characters_read()
    sample_of(path)

    assert characters_read() - before <= (128 << 10) + 4096  # and where it is counted, in /proc


def characters_read() -> int:
    """Return how many bytes this thread has read by any system call."""
    try:
        text = Path("/proc/thread-self/io").read_text()
    except OSError:
        return 0
    return int(text.split()[1])
