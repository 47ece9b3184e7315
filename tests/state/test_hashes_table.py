"""What is known of the bytes of model files, and whose turn it is to be measured."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import insert

from comfywatchman.domain.files import Digests, Measured, Reading, Stamp
from comfywatchman.state import hashes, models, workflows
from comfywatchman.state.hashes import Unmeasured
from comfywatchman.state.keeper import Keeper, Reader
from comfywatchman.state.schema import claims
from tests.state.rows import HASH, OTHER_HASH, analysis, finding, says, stamp

LORA = Path("/m/loras/detail.safetensors")
DIGESTS = Digests("ef" * 32, "12345678", "ab" * 32, "cd" * 16)


def note(keeper: Keeper, path: Path, seen: Stamp | None = None, *, whole: bool = True) -> None:
    keeper.write(lambda c: models.note(c, path, seen or stamp(), whole=whole))


def reading(seen: Stamp | None = None, sha256: str = HASH, *, racy: bool = False) -> Reading:
    at = seen or stamp()
    return Reading(at, Measured(at.size, sha256), 5_000_000_000, DIGESTS, 1, racy)


def measure(keeper: Keeper, path: Path, told: Reading | None = None) -> bool:
    return keeper.write(lambda c: hashes.measured(c, path, told or reading()))


def names(found: list[Unmeasured]) -> list[str]:
    return [item.path.stem for item in found]


def test_everything_that_one_reading_told_is_kept(keeper: Keeper, reader: Reader) -> None:
    note(keeper, LORA)
    assert measure(keeper, LORA)

    known = reader.read(lambda c: hashes.known(c, LORA))
    assert known is not None
    assert (known.sha256, known.digests, known.links) == (HASH, DIGESTS, 1)
    assert (known.measured_at_ns, known.verified_at) == (5_000_000_000, 5.0)
    assert (known.rot, known.racy, known.whole) == (None, False, True)


def test_all_of_it_is_forgotten_when_the_file_changes(keeper: Keeper, reader: Reader) -> None:
    note(keeper, LORA)
    measure(keeper, LORA)
    note(keeper, LORA, stamp(ctime_ns=2))

    known = reader.read(lambda c: hashes.known(c, LORA))
    assert known is not None
    assert (known.sha256, known.digests, known.links) == (None, Digests(), None)
    assert (known.measured_at_ns, known.verified_at, known.racy) == (None, None, False)


def test_every_name_of_one_file_gets_what_one_of_them_was_read_for(
    keeper: Keeper, reader: Reader
) -> None:
    for path in (LORA, Path("/m/vae/hard-link.safetensors")):
        note(keeper, path)
    measure(keeper, LORA)

    assert [file.sha256 for file in reader.read(models.every)] == [HASH, HASH]
    assert reader.read(hashes.backlog) == (0, 0)


def test_a_reading_that_proves_nothing_yet_is_no_proof_and_is_done_again(
    keeper: Keeper, reader: Reader
) -> None:
    note(keeper, LORA)
    measure(keeper, LORA, reading(racy=True))

    assert reader.read(lambda c: models.hashed(c, HASH)) == []
    assert names(reader.read(lambda c: hashes.unmeasured(c, 10))) == ["detail"]
    measure(keeper, LORA, reading(sha256=OTHER_HASH))
    assert reader.read(lambda c: hashes.unmeasured(c, 10)) == []
    assert [file.path for file in reader.read(lambda c: models.hashed(c, OTHER_HASH))] == [LORA]


def test_what_a_workflow_names_comes_before_all_others(keeper: Keeper, reader: Reader) -> None:
    sizes = {"large": 300, "small": 100, "wanted": 200, "partial": 50, "known": 10}
    for name, size in sizes.items():
        note(keeper, Path(f"/m/loras/{name}.pt"), stamp(size), whole=name != "partial")
    measure(keeper, Path("/m/loras/known.pt"), reading(stamp(10)))
    wanting = analysis("/wf/a.json", finding("sub/Wanted.pt"))
    keeper.write(lambda c: workflows.save(c, wanting, None, 1.0))

    assert names(reader.read(lambda c: hashes.wanted(c, 10))) == ["wanted"]
    assert names(reader.read(lambda c: hashes.unmeasured(c, 10))) == ["small", "wanted", "large"]
    assert reader.read(hashes.backlog) == (3, 600)


def test_a_file_that_another_program_says_to_be_the_missing_one_is_wanted(
    keeper: Keeper, reader: Reader
) -> None:
    note(keeper, LORA)
    row = {"path": LORA, "source": "a1111", "sha256": HASH, "noted_at": 1.0}
    keeper.write(lambda c: c.execute(insert(claims).values(**row, **models_stamp(stamp()))))
    assert reader.read(lambda c: hashes.wanted(c, 10)) == []

    asking = finding("other-name.safetensors", declared=(says(sha256=HASH),))
    keeper.write(lambda c: workflows.save(c, analysis("/wf/a.json", asking), None, 1.0))

    assert names(reader.read(lambda c: hashes.wanted(c, 10))) == ["detail"]
    assert names(reader.read(lambda c: hashes.asked_for(c, 10))) == ["detail"]
    assert reader.read(hashes.backlog_asked_for) == (1, 10)


def models_stamp(seen: Stamp) -> dict[str, int]:
    return {
        "device": seen.device,
        "inode": seen.inode,
        "size": seen.size,
        "mtime_ns": seen.mtime_ns,
        "ctime_ns": seen.ctime_ns,
    }


def test_a_file_whose_name_alone_is_wanted_is_not_asked_for(keeper: Keeper, reader: Reader) -> None:
    note(keeper, LORA)
    wanting = analysis("/wf/a.json", finding(LORA.name))
    keeper.write(lambda c: workflows.save(c, wanting, None, 1.0))

    assert names(reader.read(lambda c: hashes.wanted(c, 10))) == ["detail"]
    assert reader.read(lambda c: hashes.asked_for(c, 10)) == []


def test_the_backlog_is_gone_through_piece_by_piece_and_without_some_devices(
    keeper: Keeper, reader: Reader
) -> None:
    for number in range(5):
        seen = Stamp(number % 2, number, 10 + number // 2, 1, 1)
        note(keeper, Path(f"/m/loras/{number}.pt"), seen)

    first = reader.read(lambda c: hashes.unmeasured(c, 3))
    last = (first[-1].stamp.size, first[-1].path)
    assert names(first) == ["0", "1", "2"]
    assert names(reader.read(lambda c: hashes.unmeasured(c, 3, last))) == ["3", "4"]
    assert names(reader.read(lambda c: hashes.unmeasured(c, 9, without=[0]))) == ["1", "3"]


def test_files_of_one_size_are_found_as_long_as_they_are_unmeasured(
    keeper: Keeper, reader: Reader
) -> None:
    for name, size in {"a": 10, "b": 10, "c": 11}.items():
        note(keeper, Path(f"/m/loras/{name}.pt"), stamp(size, inode=ord(name)))
    measure(keeper, Path("/m/loras/a.pt"), reading(stamp(10, inode=ord("a"))))

    assert names(reader.read(lambda c: hashes.of_size(c, 10, 5))) == ["b"]


def test_another_name_of_a_measured_file_is_recognized_by_its_inode(
    keeper: Keeper, reader: Reader
) -> None:
    note(keeper, LORA)
    measure(keeper, LORA)
    linked, copied = Path("/m/vae/link.pt"), Path("/m/vae/copy.pt")
    items = [Unmeasured(linked, stamp(ctime_ns=9)), Unmeasured(copied, stamp(inode=2))]

    found = reader.read(lambda c: hashes.same_files(c, items))
    assert {path: known.path for path, known in found.items()} == {linked: LORA}
    assert found[linked].reading(stamp(ctime_ns=9), 2) == Reading(
        stamp(ctime_ns=9), Measured(10, HASH), 5_000_000_000, DIGESTS, 2
    )


def test_the_questions_about_turns_use_the_index_made_for_them(reader: Reader) -> None:
    with reader.connect() as connection:
        plan = connection.exec_driver_sql(
            "EXPLAIN QUERY PLAN SELECT path FROM models "
            "WHERE whole = 1 AND (sha256 IS NULL OR racy = 1) ORDER BY size, path"
        ).fetchall()

    assert "models_to_measure" in str(plan)
    assert "TEMP B-TREE" not in str(plan)
