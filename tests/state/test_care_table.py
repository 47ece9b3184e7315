"""What later readings of a model file told: its bytes are as they were, or they decayed."""

from __future__ import annotations

from pathlib import Path

from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.files import Digests, Measured, Reading, Stamp
from comfywatchman.state import care, hashes, models
from comfywatchman.state.keeper import Keeper, Reader
from tests.state.rows import HASH, NOT_UTF8, OTHER_HASH, stamp

LORA = Path("/m/loras/detail.safetensors")
LINK = Path("/m/vae/the-same-file.safetensors")
ROTTEN = Trouble("model-corrupt", "It has other bytes now.", "Fetch it again.")
NOTHING = Digests()
SECOND = 1_000_000_000


def reading(
    seen: Stamp | None = None,
    sha256: str = HASH,
    *,
    at: int = 5,
    digests: Digests = NOTHING,
    racy: bool = False,
) -> Reading:
    found = seen or stamp()
    return Reading(found, Measured(found.size, sha256), at * SECOND, digests, 1, racy)


def measure(keeper: Keeper, path: Path, told: Reading) -> None:
    keeper.write(lambda c: models.note(c, path, told.stamp, whole=True))
    keeper.write(lambda c: hashes.measured(c, path, told))


def stored(reader: Reader, path: Path = LORA) -> care.Stored:
    return reader.read(lambda c: care.stored_in(c, path.parent))[path.name]


def due(reader: Reader, before: float = 1e9, limit: int = 99) -> list[Path]:
    return [item.path for item in reader.read(lambda c: care.due(c, limit, before))]


def test_an_equal_reading_moves_the_time_and_adds_what_was_not_known(
    keeper: Keeper, reader: Reader
) -> None:
    measure(keeper, LORA, reading(digests=Digests(autov1="12345678")))
    later = reading(at=9, digests=Digests(blake3="ab" * 32))
    assert keeper.write(lambda c: care.verified(c, LORA, later))

    known = stored(reader).known
    assert (known.sha256, known.verified_at) == (HASH, 9.0)
    assert known.digests == Digests(autov1="12345678", blake3="ab" * 32)


def test_decay_keeps_the_good_hash_and_is_told_of_every_name(
    keeper: Keeper, reader: Reader
) -> None:
    measure(keeper, LORA, reading())
    measure(keeper, LINK, reading())
    assert keeper.write(lambda c: care.decayed(c, LORA, reading(sha256=OTHER_HASH), ROTTEN))

    for path in (LORA, LINK):
        row = stored(reader, path)
        assert (row.known.sha256, row.known.rot, row.trouble) == (HASH, OTHER_HASH, ROTTEN)


def test_a_reading_that_agrees_again_takes_the_decay_back(keeper: Keeper, reader: Reader) -> None:
    measure(keeper, LORA, reading())
    keeper.write(lambda c: care.decayed(c, LORA, reading(sha256=OTHER_HASH), ROTTEN))
    keeper.write(lambda c: care.verified(c, LORA, reading(at=9)))

    row = stored(reader)
    assert (row.known.rot, row.trouble, row.known.verified_at) == (None, None, 9.0)


def test_a_reading_that_agrees_says_nothing_of_another_trouble(
    keeper: Keeper, reader: Reader
) -> None:
    page = Trouble("verification-failed", "It is a web page.", "Remove it.")
    keeper.write(lambda c: models.note(c, LORA, stamp(), whole=True, trouble=page))
    keeper.write(lambda c: hashes.measured(c, LORA, reading()))
    keeper.write(lambda c: care.verified(c, LORA, reading(at=9)))

    assert stored(reader).trouble == page


def test_a_reading_of_a_file_that_has_changed_since_is_not_taken(
    keeper: Keeper, reader: Reader
) -> None:
    measure(keeper, LORA, reading())
    other = stamp(mtime_ns=2)

    assert not keeper.write(lambda c: care.verified(c, LORA, reading(other, at=9)))
    assert not keeper.write(lambda c: care.decayed(c, LORA, reading(other), ROTTEN))
    assert not keeper.write(lambda c: care.verified(c, LINK, reading(at=9)))
    assert (stored(reader).known.verified_at, stored(reader).trouble) == (5.0, None)


def test_who_waited_longest_is_due_first(keeper: Keeper, reader: Reader) -> None:
    for number, at in ((1, 30), (2, 10), (3, 20)):
        measure(keeper, Path(f"/m/{number}"), reading(stamp(inode=number), at=at))

    assert due(reader) == [Path("/m/2"), Path("/m/3"), Path("/m/1")]
    assert due(reader, before=20.0) == [Path("/m/2")]
    assert due(reader, limit=1) == [Path("/m/2")]


def test_nothing_is_due_that_proves_nothing_or_is_known_to_have_decayed(
    keeper: Keeper, reader: Reader
) -> None:
    for number in range(1, 5):
        seen = stamp(inode=number)
        measure(keeper, Path(f"/m/{number}"), reading(seen, racy=number == 1))
    keeper.write(lambda c: models.note(c, Path("/m/unmeasured"), stamp(inode=9), whole=True))
    rotten = reading(stamp(inode=2), OTHER_HASH)
    keeper.write(lambda c: care.decayed(c, Path("/m/2"), rotten, ROTTEN))

    assert due(reader) == [Path("/m/3"), Path("/m/4")]


def test_a_cycle_counts_a_file_with_two_names_once(keeper: Keeper, reader: Reader) -> None:
    measure(keeper, LORA, reading(stamp(100)))
    measure(keeper, LINK, reading(stamp(100)))
    measure(keeper, Path("/m/other"), reading(stamp(7, inode=2)))

    assert reader.read(care.proven_bytes) == 107


def test_one_reading_answers_for_every_name_of_the_file(keeper: Keeper, reader: Reader) -> None:
    measure(keeper, LORA, reading())
    measure(keeper, LINK, reading())
    keeper.write(lambda c: care.verified(c, LORA, reading(at=9)))

    assert due(reader, before=9.0) == []


def test_rows_are_found_by_directory_whatever_bytes_their_names_have(
    keeper: Keeper, reader: Reader
) -> None:
    odd = Path(f"/m/loras/{NOT_UTF8}")
    measure(keeper, odd, reading())
    measure(keeper, Path("/m/loras/deeper/x"), reading(stamp(inode=2)))

    assert set(reader.read(lambda c: care.stored_in(c, Path("/m/loras")))) == {NOT_UTF8}
    assert [row.known.path for row in reader.read(care.every)] == [
        odd,
        Path("/m/loras/deeper/x"),
    ]
