"""Rows of model files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from comfywatchman.disk.walk import stored
from comfywatchman.domain.files import Measured, Reading, Stamp
from comfywatchman.state import hashes, models
from comfywatchman.state.keeper import Keeper, Reader
from tests.state.rows import HASH, NOT_UTF8, OTHER_HASH, TROUBLE, stamp

LORA = Path("/m/loras/detail.safetensors")


def note(keeper: Keeper, path: Path, seen: Stamp | None = None, *, whole: bool = True) -> None:
    keeper.write(lambda c: models.note(c, path, seen or stamp(), whole=whole))


def measure(keeper: Keeper, path: Path, seen: Stamp | None = None, sha256: str = HASH) -> bool:
    at = seen or stamp()
    reading = Reading(at, Measured(at.size, sha256), at_ns=5)
    return keeper.write(lambda c: hashes.measured(c, path, reading))


def hash_of(reader: Reader, path: Path) -> str | None:
    row = reader.read(lambda c: models.one(c, path))
    assert row is not None
    return row.sha256


def test_a_file_is_found_by_its_name_in_any_letter_case(keeper: Keeper, reader: Reader) -> None:
    note(keeper, Path("/m/loras/Straße.SafeTensors"))

    found = reader.read(lambda c: models.named(c, "STRASSE.safetensors"))
    assert [file.path.name for file in found] == ["Straße.SafeTensors"]
    assert reader.read(lambda c: models.named(c, "other.safetensors")) == []


def test_a_file_is_found_by_its_name_without_the_suffix(keeper: Keeper, reader: Reader) -> None:
    note(keeper, Path("/m/embeddings/Bad.Hands.pt"))

    found = reader.read(lambda c: models.stemmed(c, "bad.hands"))
    assert [file.path.name for file in found] == ["Bad.Hands.pt"]


def test_a_name_that_is_no_utf8_is_kept_byte_for_byte(keeper: Keeper, reader: Reader) -> None:
    path = Path("/m/loras") / NOT_UTF8
    note(keeper, path)

    assert reader.read(lambda c: models.one(c, path)) is not None
    assert [file.path for file in reader.read(lambda c: models.named(c, NOT_UTF8))] == [path]
    with reader.connect() as connection:
        (row,) = models.known_in(connection)(b"/m/loras").values()
    assert (row[0], stored(row)) == (b"/m/loras/caf\xe9.safetensors", stamp())


@pytest.mark.parametrize("number", [0, 1, 2**63 - 1, 2**63, 2**64 - 1])
def test_inodes_and_devices_of_64_bits_come_back_as_they_were(
    keeper: Keeper, reader: Reader, number: int
) -> None:
    seen = Stamp(number, number, 10, 1, 1)
    note(keeper, LORA, seen)

    row = reader.read(lambda c: models.one(c, LORA))
    assert row is not None
    assert row.stamp == seen
    assert [file.path for file in reader.read(lambda c: models.same_inode(c, seen))] == [LORA]


def test_a_hash_is_kept_while_the_file_is_the_same(keeper: Keeper, reader: Reader) -> None:
    note(keeper, LORA)
    measure(keeper, LORA)
    note(keeper, LORA)

    assert hash_of(reader, LORA) == HASH
    assert reader.read(hashes.backlog) == (0, 0)


@pytest.mark.parametrize(
    "now",
    [
        stamp(size=11),
        stamp(inode=2),
        stamp(mtime_ns=2),
        stamp(ctime_ns=2),
        Stamp(8, 1, 10, 1, 1),
    ],
)
def test_a_hash_is_forgotten_when_anything_of_the_stamp_changes(
    keeper: Keeper, reader: Reader, now: Stamp
) -> None:
    note(keeper, LORA)
    measure(keeper, LORA)
    note(keeper, LORA, now)

    assert hash_of(reader, LORA) is None
    assert reader.read(lambda c: models.hashed(c, HASH)) == []


def test_a_hash_that_comes_with_the_note_replaces_the_old_one(
    keeper: Keeper, reader: Reader
) -> None:
    note(keeper, LORA)
    measure(keeper, LORA)
    keeper.write(
        lambda c: models.note(c, LORA, stamp(), whole=True, sha256=OTHER_HASH, measured_at_ns=9)
    )

    assert hash_of(reader, LORA) == OTHER_HASH


def test_a_measure_of_a_file_that_changed_meanwhile_is_thrown_away(
    keeper: Keeper, reader: Reader
) -> None:
    note(keeper, LORA, stamp(mtime_ns=2))

    assert measure(keeper, LORA, stamp(mtime_ns=1)) is False
    assert hash_of(reader, LORA) is None


def test_a_measure_of_a_file_that_is_gone_is_thrown_away(keeper: Keeper) -> None:
    assert measure(keeper, LORA) is False


def test_a_moved_file_keeps_its_hash_and_has_the_new_name(keeper: Keeper, reader: Reader) -> None:
    after = Path("/m/vae/Other.safetensors")
    note(keeper, LORA)
    measure(keeper, LORA)
    keeper.write(lambda c: models.move(c, LORA, after, stamp(ctime_ns=2)))

    row = reader.read(lambda c: models.one(c, after))
    assert row is not None
    assert (row.sha256, row.stamp) == (HASH, stamp(ctime_ns=2))
    assert reader.read(lambda c: models.one(c, LORA)) is None
    assert [file.path for file in reader.read(lambda c: models.stemmed(c, "other"))] == [after]
    assert reader.read(models.directories) == [os.fsencode(after.parent)]


def test_a_file_moved_over_another_takes_its_row(keeper: Keeper, reader: Reader) -> None:
    after = LORA.with_name("other.safetensors")
    note(keeper, LORA, stamp(inode=1))
    measure(keeper, LORA, stamp(inode=1))
    note(keeper, after, stamp(inode=2))
    keeper.write(lambda c: models.move(c, LORA, after, stamp(inode=1)))

    assert [file.path for file in reader.read(models.every)] == [after]
    assert hash_of(reader, after) == HASH


def test_what_lies_below_a_directory_is_not_what_begins_with_its_name(
    keeper: Keeper, reader: Reader
) -> None:
    inside = [Path("/m/loras/flux/a.safetensors"), Path("/m/loras/flux/deep/b.safetensors")]
    beside = [
        Path("/m/loras/flux.safetensors"),
        Path("/m/loras/flux-dev.safetensors"),
        Path("/m/loras/flux dev.safetensors"),
        Path("/m/loras/flux0/c.safetensors"),
        Path("/m/loras/flu/d.safetensors"),
    ]
    for path in (*inside, *beside):
        note(keeper, path)

    assert sorted(reader.read(lambda c: models.below(c, Path("/m/loras/flux")))) == inside


def test_a_file_itself_counts_as_below(keeper: Keeper, reader: Reader) -> None:
    note(keeper, LORA)
    note(keeper, LORA.with_name("detail.safetensors-2.safetensors"))

    assert reader.read(lambda c: models.below(c, LORA)) == [LORA]


def test_what_lies_below_is_found_by_bytes_where_the_name_is_no_utf8(
    keeper: Keeper, reader: Reader
) -> None:
    directory = Path("/m/loras/caf\udce9")
    note(keeper, directory / "a.safetensors")

    found = reader.read(lambda c: models.below(c, directory))
    assert found == [directory / "a.safetensors"]


def test_a_file_that_is_forgotten_is_gone_from_every_question(
    keeper: Keeper, reader: Reader
) -> None:
    note(keeper, LORA)
    keeper.write(lambda c: models.forget(c, LORA))

    assert reader.read(models.count) == 0
    assert reader.read(lambda c: models.in_directory(c, LORA.parent)) == []
    assert list(reader.read(models.sizes)) == []


def test_it_is_known_since_when_a_file_is_whole(keeper: Keeper, reader: Reader) -> None:
    note(keeper, LORA, whole=False)
    assert reader.read(lambda c: models.whole_since(c, LORA, 0.0)) is False

    note(keeper, LORA)
    assert reader.read(lambda c: models.whole_since(c, LORA, 0.0)) is True
    assert reader.read(lambda c: models.whole_since(c, LORA, 9e12)) is False


def test_the_trouble_of_a_file_is_told_until_it_is_noted_without(
    keeper: Keeper, reader: Reader
) -> None:
    keeper.write(lambda c: models.note(c, LORA, stamp(), whole=True, trouble=TROUBLE))
    assert reader.read(models.troubles) == [(LORA, TROUBLE)]

    note(keeper, LORA)
    assert reader.read(models.troubles) == []
