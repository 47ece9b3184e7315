"""What is known about node types, from packs and maps on a real disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from comfywatchman.comfyui.node_map import MapFiles
from comfywatchman.domain.errors import Interrupted
from comfywatchman.domain.messages import ErrorMet
from comfywatchman.domain.packs import NodeTypeState, Standing
from comfywatchman.domain.references import Analysis, NodeTypeUse, WorkflowContent
from comfywatchman.pipeline.node_types import Bookkeeping, StoredTypes, missing_nodes
from comfywatchman.state import node_types as rows
from comfywatchman.state import workflows
from comfywatchman.state.node_types import SERVER
from tests.comfyui.packing import node_map, pack, published
from tests.pipeline.office import Office

INSTALLED, MISSING = NodeTypeState.INSTALLED, NodeTypeState.MISSING


@pytest.fixture
def home(tmp_path: Path) -> Path:
    found = tmp_path / "ComfyUI" / "custom_nodes"
    found.mkdir(parents=True)
    return found


@pytest.fixture
def books(office: Office) -> Bookkeeping:
    return Bookkeeping(office.keeper, office.reader, office.desk.tell)


def stands(office: Office, kind: str) -> Standing:
    with office.reader.connect() as connection:
        return StoredTypes(connection).standing(NodeTypeUse(kind, 1))


def test_a_type_of_an_installed_pack_is_installed_and_any_other_missing(
    office: Office, books: Bookkeeping, home: Path
) -> None:
    published(pack(home, "fancy", "A"), "fancy-pack")

    assert books.packs([home], has_code=True)

    found = stands(office, "A")
    assert found.state is INSTALLED
    assert found.pack is not None
    assert found.pack.id == "fancy-pack"
    assert stands(office, "B").state is MISSING


def test_without_a_directory_for_packs_nothing_is_missing_unless_comfyui_lies_there(
    office: Office, books: Bookkeeping, tmp_path: Path
) -> None:
    nowhere = tmp_path / "nowhere"

    books.packs([nowhere], has_code=False)
    assert stands(office, "B").state is NodeTypeState.UNKNOWN
    books.packs([nowhere], has_code=True)
    assert stands(office, "B").state is MISSING


def test_packs_are_read_again_only_when_they_changed(
    office: Office, books: Bookkeeping, home: Path
) -> None:
    root = pack(home, "fancy", "A")
    assert books.packs([home], has_code=True)
    assert not books.packs([home], has_code=True)
    assert not books.packs([home], has_code=True, whole=True)

    deep = pack(home, "fancy", init="from .deep import NODE_CLASS_MAPPINGS", deep_py="")
    books.packs([home], has_code=True, whole=True)
    (deep / "deep.py").write_text("NODE_CLASS_MAPPINGS = {'B': 1}")
    assert not books.packs([home], has_code=True)  # nothing on its face tells
    assert books.packs([home], has_code=True, whole=True)
    assert stands(office, "B").state is INSTALLED

    root.rename(home / "fancy.disabled")
    assert books.packs([home], has_code=True)
    assert (stands(office, "B").state, stands(office, "B").disabled) == (MISSING, True)


def test_a_pack_that_is_removed_has_its_types_no_more(
    office: Office, books: Bookkeeping, home: Path
) -> None:
    root = pack(home, "fancy", "A")
    books.packs([home], has_code=True)
    root.rename(home.parent / "elsewhere")
    books.packs([home], has_code=True)

    assert stands(office, "A").state is MISSING
    assert not stands(office, "A").disabled


def test_a_stop_while_packs_are_read_leaves_the_rest_for_the_next_time(
    office: Office, home: Path
) -> None:
    pack(home, "fancy", "A")
    stopping = Bookkeeping(office.keeper, office.reader, office.desk.tell, lambda: True)

    with pytest.raises(Interrupted):
        stopping.packs([home], has_code=True)

    assert office.reader.read(lambda c: rows.known(c, rows.PACKS)) is None


def test_the_map_names_the_pack_of_a_missing_type_and_is_read_once(
    office: Office, books: Bookkeeping, home: Path, tmp_path: Path
) -> None:
    files = MapFiles(node_map(tmp_path, {"a/one": ["A", "B"], "b/two": ["B"]}))
    books.packs([home], has_code=True)

    assert books.node_map(files)
    assert not books.node_map(files)

    assert stands(office, "A").pack is not None
    assert [each.id for each in stands(office, "B").packs] == ["a/one", "b/two"]


def test_another_map_replaces_the_one_before(
    office: Office, books: Bookkeeping, home: Path, tmp_path: Path
) -> None:
    books.packs([home], has_code=True)
    books.node_map(MapFiles(node_map(tmp_path, {"a/one": ["A"]})))
    books.node_map(MapFiles(node_map(tmp_path, {"a/other": ["A", "more"]})))

    found = stands(office, "A").pack
    assert found is not None
    assert found.id == "a/other"
    books.node_map(MapFiles())
    assert stands(office, "A").pack is None


def test_a_broken_map_is_told_once_and_the_one_before_stays(
    office: Office, books: Bookkeeping, home: Path, tmp_path: Path
) -> None:
    books.packs([home], has_code=True)
    file = node_map(tmp_path, {"a/one": ["A"]})
    books.node_map(MapFiles(file))
    file.write_text("{")

    books.node_map(MapFiles(file))
    books.node_map(MapFiles(file))

    assert [type(event) for event in office.told] == [ErrorMet]
    assert stands(office, "A").pack is not None


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [(r" \(one\)$", True), ("(", False), ("(a+)+$", False), ("x" * 500, False), ("^Other", False)],
)
def test_a_pattern_of_the_map_is_used_where_it_is_one_that_ends_soon(
    office: Office, books: Bookkeeping, home: Path, tmp_path: Path, pattern: str, *, fits: bool
) -> None:
    file = node_map(tmp_path, {"a/one": []}, one={"nodename_pattern": pattern})
    books.packs([home], has_code=True)
    books.node_map(MapFiles(file))

    assert (stands(office, "Thing (one)").pack is not None) is fits


def test_a_map_for_some_types_says_as_much_about_them(
    office: Office, books: Bookkeeping, home: Path, tmp_path: Path
) -> None:
    books.packs([home], has_code=True)
    books.node_map(MapFiles(node_map(tmp_path, {"a/one": ["A"], "b/two": ["A", "B"]})), ["A"])

    assert len(stands(office, "A").packs) == 2
    assert stands(office, "B").pack is None


def test_a_server_that_named_the_types_of_a_pack_tells_what_reading_it_could_not(
    office: Office, books: Bookkeeping, home: Path
) -> None:
    root = pack(home, "vague", init="from elsewhere import M\nNODE_CLASS_MAPPINGS = M")
    books.packs([home], has_code=True)
    assert stands(office, "B").state is NodeTypeState.UNKNOWN

    stamp = office.reader.read(rows.pack_stamps)[root]
    office.keeper.write(lambda c: rows.replace_served(c, [("A", "custom_nodes.vague")]))
    office.keeper.write(lambda c: rows.note_known(c, SERVER, "0.3", {"stamp of vague": stamp}, 1.0))

    assert stands(office, "A").state is INSTALLED
    assert stands(office, "B").state is MISSING
    (root / "more.py").touch()  # another version of it may have more
    books.packs([home], has_code=True, whole=True)
    assert stands(office, "B").state is NodeTypeState.UNKNOWN


def test_each_workflow_is_told_the_types_it_lacks(
    office: Office, books: Bookkeeping, home: Path, tmp_path: Path
) -> None:
    pack(home, "fancy", "A")
    books.packs([home], has_code=True)
    books.node_map(MapFiles(node_map(tmp_path, {"b/two": ["B"]})))
    uses = (
        NodeTypeUse("A", 1),
        NodeTypeUse("B", 1),
        NodeTypeUse("C", 1),
        NodeTypeUse("Muted", 1, active=False),
        NodeTypeUse("KSampler", 1, core=True),
    )
    found = Analysis(Path("/wf/1"), "", WorkflowContent("json", "ui", node_types=uses))
    office.keeper.write(lambda c: workflows.save(c, found, None, 1.0))

    assert office.reader.read(lambda c: missing_nodes(c, serving=False)) == {
        Path("/wf/1"): ("B (b/two)", "C")
    }


def test_a_directory_of_packs_that_cannot_be_listed_leaves_types_unknown(
    office: Office, books: Bookkeeping, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()

    books.packs([tmp_path / "file"], has_code=True)

    assert stands(office, "B").state is NodeTypeState.UNKNOWN


def test_many_packs_are_one_look(office: Office, books: Bookkeeping, home: Path) -> None:
    for number in range(30):
        pack(home, f"pack-{number}", f"T{number}")

    books.packs([home], has_code=True)

    assert office.reader.read(rows.type_count) == 30
    assert len(os.listdir(home)) == 30  # noqa: PTH208 - names; nothing was written there
