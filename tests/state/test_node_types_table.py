"""Rows about node types."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from alembic import command

from comfywatchman.domain.packs import InstalledPack, Told, TypeKind
from comfywatchman.domain.references import Analysis, NodeTypeUse, WorkflowContent
from comfywatchman.state import migrate, node_types, store, workflows
from comfywatchman.state.keeper import Keeper, Reader, writing_engine
from comfywatchman.state.node_types import MapEntry

ROOT = Path("/nodes/fancy")
FANCY = InstalledPack(ROOT, "fancy", True, "fancy", "someone/fancy", "Fancy", "1.0")
PYTHON, MENTION = TypeKind.PYTHON, TypeKind.MENTION


def entry(
    name: str, *types: str, first: tuple[str, ...] = (), pattern: str | None = None
) -> MapEntry:
    url = f"https://github.com/Owner/{name}"
    return MapEntry(url, name, f"owner/{name}", name.title(), pattern, types, first)


def test_a_pack_is_stored_with_its_types_and_found_by_them(keeper: Keeper, reader: Reader) -> None:
    keeper.write(lambda c: node_types.note_pack(c, FANCY, "s1", [("A", PYTHON), ("B", MENTION)]))

    assert reader.read(node_types.installed) == [FANCY]
    assert reader.read(lambda c: node_types.having(c, "A")) == [(ROOT, PYTHON)]
    assert reader.read(lambda c: node_types.having(c, "C")) == []
    assert reader.read(node_types.pack_stamps) == {ROOT: "s1"}
    assert reader.read(node_types.type_count) == 1


def test_a_pack_that_was_only_switched_off_keeps_its_types(keeper: Keeper, reader: Reader) -> None:
    vague = InstalledPack(ROOT, "fancy", True, complete=False)
    keeper.write(lambda c: node_types.note_pack(c, vague, "s1", [("A", PYTHON)]))
    off = InstalledPack(ROOT, "fancy", False)
    keeper.write(lambda c: node_types.note_pack(c, off, "s2", None))

    (found,) = reader.read(node_types.installed)
    assert (found.enabled, found.complete) == (False, False)
    assert reader.read(lambda c: node_types.having(c, "A")) == [(ROOT, PYTHON)]


def test_what_is_gone_from_disk_is_forgotten(keeper: Keeper, reader: Reader) -> None:
    keeper.write(lambda c: node_types.note_pack(c, FANCY, "s1", [("A", PYTHON)]))
    keeper.write(lambda c: node_types.keep_packs(c, []))

    assert reader.read(node_types.installed) == []
    assert reader.read(lambda c: node_types.having(c, "A")) == []


def test_the_servers_types_replace_those_it_had(keeper: Keeper, reader: Reader) -> None:
    many = [(f"T{number}", "nodes") for number in range(1500)]
    keeper.write(lambda c: node_types.replace_served(c, [("Old", "nodes")]))
    keeper.write(lambda c: node_types.replace_served(c, many))

    assert reader.read(lambda c: node_types.module(c, "T1499")) == "nodes"
    assert reader.read(lambda c: node_types.module(c, "Old")) is None


def test_a_type_is_claimed_by_all_packs_that_list_it(keeper: Keeper, reader: Reader) -> None:
    entries = [entry("one", "A", "B"), entry("two", "A")]
    keeper.write(lambda c: node_types.add_map_packs(c, entries))

    claims = reader.read(lambda c: node_types.claims(c, "A"))

    assert [claim.pack.id for claim in claims] == ["one", "two"]
    assert {claim.told for claim in claims} == {Told.NAME}
    assert claims[0].pack.title == "One"


def test_a_pack_that_goes_before_all_others_claims_alone(keeper: Keeper, reader: Reader) -> None:
    entries = [entry("one", "A"), entry("two", "A", first=("A", "C"))]
    keeper.write(lambda c: node_types.add_map_packs(c, entries))

    for kind in ("A", "C"):
        (claim,) = reader.read(lambda c, k=kind: node_types.claims(c, k))  # type: ignore[misc]  # bound at once
        assert (claim.pack.id, claim.told) == ("two", Told.FIRST)


def test_a_pack_without_a_registry_id_is_called_by_its_repository(
    keeper: Keeper, reader: Reader
) -> None:
    plain = MapEntry("https://github.com/Owner/X.git", None, "owner/x", None, None, ("A",), ())
    keeper.write(lambda c: node_types.add_map_packs(c, [plain]))

    (claim,) = reader.read(lambda c: node_types.claims(c, "A"))

    assert claim.pack.id == "Owner/X"
    found = reader.read(lambda c: node_types.pack_called(c, None, "Owner/X"))
    assert found == claim.pack


def test_a_map_that_is_read_anew_replaces_the_old_one_in_one_step(
    keeper: Keeper, reader: Reader
) -> None:
    keeper.write(lambda c: node_types.add_map_packs(c, [entry("old", "A")]))
    last = reader.read(node_types.last_map_pack)
    keeper.write(lambda c: node_types.add_map_packs(c, [entry("new", "A", pattern="^N")]))
    keeper.write(lambda c: node_types.forget_map(c, until=last))

    (claim,) = reader.read(lambda c: node_types.claims(c, "A"))

    assert claim.pack.id == "new"
    assert [pattern for pattern, _ in reader.read(node_types.patterns)] == ["^N"]


def test_a_map_that_was_not_read_to_its_end_leaves_nothing(keeper: Keeper, reader: Reader) -> None:
    keeper.write(lambda c: node_types.add_map_packs(c, [entry("old", "A")]))
    last = reader.read(node_types.last_map_pack)
    keeper.write(lambda c: node_types.add_map_packs(c, [entry("half", "A")]))
    keeper.write(lambda c: node_types.forget_map(c, after=last))

    assert [c.pack.id for c in reader.read(lambda c: node_types.claims(c, "A"))] == ["old"]


def analysis(path: Path, *uses: NodeTypeUse) -> Analysis:
    return Analysis(path, "0" * 64, WorkflowContent("json", "ui", node_types=uses))


def test_which_workflow_uses_which_type_is_known_from_its_analysis(
    keeper: Keeper, reader: Reader
) -> None:
    one = analysis(Path("/wf/1"), NodeTypeUse("A", 2, "fancy"), NodeTypeUse("K", 1, core=True))
    two = analysis(Path("/wf/2"), NodeTypeUse("A", 1), NodeTypeUse("B", 1, active=False))
    for each in (one, two):
        keeper.write(lambda c, a=each: workflows.save(c, a, None, 1.0))  # type: ignore[misc]  # bound at once

    assert reader.read(lambda c: node_types.using(c, ["B", "K"])) == [one.path, two.path]
    assert reader.read(lambda c: [(p, u.type) for p, u in node_types.used(c)]) == [
        (one.path, "A"),
        (two.path, "A"),
    ]
    keeper.write(lambda c: workflows.forget(c, one.path))
    assert reader.read(lambda c: node_types.using(c, ["A"])) == [two.path]


def test_a_name_that_sql_cannot_hold_is_found_again(keeper: Keeper, reader: Reader) -> None:
    odd = analysis(Path("/wf/1"), NodeTypeUse("bad \ud800 name", 1))
    keeper.write(lambda c: workflows.save(c, odd, None, 1.0))

    assert reader.read(lambda c: node_types.using(c, [r"bad \ud800 name"])) == [odd.path]
    assert reader.read(lambda c: node_types.claims(c, "bad \ud800 name")) == []


def test_all_but_the_map_goes_from_one_database_to_another(keeper: Keeper, reader: Reader) -> None:
    keeper.write(lambda c: node_types.note_pack(c, FANCY, "s1", [("A", PYTHON)]))
    keeper.write(lambda c: node_types.replace_served(c, [("S", "nodes")]))
    keeper.write(lambda c: node_types.note_known(c, node_types.SERVER, "0.3", {"a": "b"}, 5.0))

    kept = reader.read(node_types.everything_but_the_map)
    other, memory = store.open_in_memory()
    other.write(lambda c: node_types.restore(c, kept))

    assert memory.read(node_types.installed) == [FANCY]
    assert memory.read(lambda c: node_types.module(c, "S")) == "nodes"
    known = memory.read(lambda c: node_types.known(c, node_types.SERVER))
    assert known is not None
    assert (known.stamp, known.detail, known.noted_at) == ("0.3", {"a": "b"}, 5.0)
    other.close()


def test_the_types_of_workflows_analyzed_before_are_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite3"
    engine = writing_engine(path)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"
        )
    engine.dispose()
    configuration = migrate.configuration(path)
    command.upgrade(configuration, "0001")
    uses = [{"type": "A", "count": 1, "cnr_id": "fancy"}, {"type": "K", "count": 2, "core": True}]
    known = json.dumps({"content": {"node_types": uses}}).encode()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "INSERT INTO workflows (path, directory, sha256, state, analyzed_at, reference_count,"
            " lacking, analysis) VALUES (?, ?, '', 'ready', 1.0, 0, ?, ?)",
            (b"/wf/1", b"/wf", b"[]", known),
        )
        connection.commit()
    command.upgrade(configuration, "head")
    configuration.attributes["engine"].dispose()

    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(
            "SELECT workflow, type, cnr_id, core FROM node_uses ORDER BY type"
        ).fetchall()
    assert rows == [(b"/wf/1", "A", "fancy", 0), (b"/wf/1", "K", None, 1)]
