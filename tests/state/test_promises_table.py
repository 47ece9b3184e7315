"""Hashes that workflows state, and names that differ in their composition."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from alembic import command

from comfywatchman.domain.files import Digests, Measured, Reading, ShortHash
from comfywatchman.domain.references import Finding, ReferenceState
from comfywatchman.state import hashes, migrate, models, promises, workflows
from comfywatchman.state.keeper import Keeper, Reader, writing_engine
from tests.state.rows import HASH, OTHER_HASH, analysis, finding, says, stamp

A = Path("/wf/a.json")
AFTER = "9a" * 32


def short(name: str, kind: str, digits: str, state: str = "missing") -> Finding:
    plain = finding(name, state=ReferenceState(state))
    reference = replace(plain.reference, short_hashes=(ShortHash(kind, digits),))
    return replace(plain, reference=reference)


def save(keeper: Keeper, *findings: Finding) -> None:
    keeper.write(lambda c: workflows.save(c, analysis(A, *findings), stamp(), 1.0))


def model(keeper: Keeper, path: str, reading: Reading | None = None, inode: int = 1) -> Path:
    place, seen = Path(path), stamp(inode=inode)
    keeper.write(lambda c: models.note(c, place, seen, whole=True))
    if reading is not None:
        told = replace(reading, stamp=seen)
        keeper.write(lambda c: hashes.measured(c, place, told))
    return place


def reading(after: str | None = None) -> Reading:
    return Reading(stamp(), Measured(10, HASH), 1, Digests(after_sha256=after))


def test_a_workflow_that_is_read_anew_promises_only_what_it_says_now(
    keeper: Keeper, reader: Reader
) -> None:
    save(keeper, finding("x.pt", declared=(says(None, HASH), says(None, OTHER_HASH))))
    assert reader.read(lambda c: promises.promising(c, {OTHER_HASH})) == {A}

    save(keeper, finding("x.pt", declared=(says(None, HASH),)))
    assert reader.read(lambda c: promises.promising(c, {OTHER_HASH})) == set()

    keeper.write(lambda c: workflows.forget(c, A))
    assert reader.read(promises.any_promise) is False


def test_hashes_of_kinds_that_no_measure_gives_promise_nothing(
    keeper: Keeper, reader: Reader
) -> None:
    save(keeper, short("x", "AutoV1", "01234567"), short("y", "BLAKE3", HASH))

    assert reader.read(promises.any_promise) is False


def test_a_file_that_a_text_names_without_its_suffix_is_measured_first(
    keeper: Keeper, reader: Reader
) -> None:
    save(keeper, short("sub/dream", "AutoV2", HASH[:10]))
    named = model(keeper, "/m/checkpoints/Dream.safetensors")
    model(keeper, "/m/checkpoints/other.safetensors", inode=2)

    assert [each.path for each in reader.read(lambda c: hashes.wanted(c, 9))] == [named]
    assert [each.path for each in reader.read(lambda c: hashes.asked_for(c, 9))] == [named]


def test_a_measured_file_is_read_once_more_only_for_an_autov3_that_somebody_states(
    keeper: Keeper, reader: Reader
) -> None:
    lacking = model(keeper, "/m/loras/dream.safetensors", reading())
    model(keeper, "/m/loras/known/dream.safetensors", reading(AFTER), inode=2)
    model(keeper, "/m/loras/dream.pt", reading(), inode=3)
    model(keeper, "/m/loras/other.safetensors", reading(), inode=4)

    def asked() -> list[Path]:
        return [each.path for each in reader.read(lambda c: hashes.without_autov3(c, 9))]

    save(keeper, short("dream", "AutoV2", HASH[:10]))
    assert asked() == []
    save(keeper, short("dream", "AutoV3", AFTER[:12]))
    assert asked() == [lacking]


def test_a_model_is_found_by_its_name_however_that_is_composed(
    keeper: Keeper, reader: Reader
) -> None:
    apart = model(keeper, "/m/loras/Cafe\u0301.pt")

    assert [f.path for f in reader.read(lambda c: models.named(c, "CAFÉ.pt"))] == [apart]
    assert [f.path for f in reader.read(lambda c: models.stemmed(c, "café"))] == [apart]


def test_names_of_an_older_state_are_composed_when_it_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite3"
    engine = writing_engine(path)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"
        )
    engine.dispose()
    configuration = migrate.configuration(path)
    command.upgrade(configuration, "0004")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "INSERT INTO wants (workflow, folder, name, base, stem, declared, state)"
            " VALUES (?, 'loras', 'x', 'cafe\u0301.pt', 'cafe\u0301', ?, 'missing')",
            (b"/wf/1", b"[]"),
        )
        connection.commit()
    command.upgrade(configuration, "head")
    configuration.attributes["engine"].dispose()

    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT base, stem FROM wants").fetchall() == [
            ("café.pt", "café")
        ]
