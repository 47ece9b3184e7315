"""Nodes that find a file in different ways: one row, which tells what is lacking."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfywatchman.analyze.compare import compare
from comfywatchman.domain.files import Folder, Folders, ModelFile
from comfywatchman.domain.references import Finding, Hint, ReferenceState
from tests.analyze.building import Json, graph, node, read
from tests.analyze.comparing import MODELS, Shelf, file

_FOLDERS = Folders(
    Path("/comfy"),
    MODELS,
    {
        name: Folder(name, (MODELS / name,), write_root=MODELS / name)
        for name in ("loras", "vae", "vae_approx", "diffusion_models", "text_encoders")
    },
)


def _rows(nodes: list[Json], *here: ModelFile) -> list[Finding]:
    content = read(graph(*nodes))
    return list(compare(content, _FOLDERS, Shelf(here), separator="/"))


_Told = list[tuple[str, str, tuple[str, ...], tuple[str, ...]]]


def _told(nodes: list[Json], *here: ModelFile) -> _Told:
    return [
        (
            row.state.value,
            row.trouble.code if row.trouble else "",
            row.reference.nodes,
            row.found_by,
        )
        for row in _rows(nodes, *here)
    ]


@pytest.mark.parametrize("backwards", [False, True])
def test_a_gguf_that_its_loader_opens_is_there_and_a_core_loader_is_told_apart(
    backwards: bool,
) -> None:
    nodes = [node(1, "UNETLoader", "q.gguf", "default"), node(2, "UnetLoaderGGUF", "q.gguf")]
    there = file(MODELS / "diffusion_models/q.gguf")

    told = _told(nodes[::-1] if backwards else nodes, there)

    assert told == [("missing", "name-not-listed", ("1", "2"), ("2",))]


def test_what_one_of_two_nodes_can_use_is_brought_before_the_other_is_told() -> None:
    nodes = [node(1, "UNETLoader", "q.gguf", "default"), node(2, "UnetLoaderGGUF", "q.gguf")]

    assert _told(nodes) == [("missing", "", ("2", "1"), ())]


def test_a_name_that_a_tag_finds_without_its_suffix_is_no_name_for_a_core_loader() -> None:
    nodes = [node(1, "LoraLoader", "here", 1, 1), node(2, "LoraTagLoader", "<lora:here:1>")]

    told = _told(nodes, file(MODELS / "loras/here.safetensors"))

    assert told == [("elsewhere", "name-not-listed", ("1", "2"), ("2",))]


def test_a_file_in_a_subfolder_is_there_for_the_node_that_looks_for_its_last_part_only() -> None:
    rows: Json = {"on": True, "lora": "deep.safetensors", "strength": 1}
    nodes = [
        node(1, "LoraLoader", "deep.safetensors", 1, 1),
        node(2, "Power Lora Loader (rgthree)", rows),
    ]

    told = _told(nodes, file(MODELS / "loras/sub/deep.safetensors"))

    assert told == [("elsewhere", "", ("1", "2"), ("2",))]


def test_what_is_the_same_for_all_is_one_row_that_names_all_nodes() -> None:
    rows: Json = {"on": True, "lora": "x.safetensors", "strength": 1}
    nodes = [
        node(1, "Power Lora Loader (rgthree)", rows),
        node(2, "LoraLoader", "x.safetensors", 1, 1),
        node(3, "Power Lora Loader (rgthree)", rows),
    ]

    there = file(MODELS / "loras/x.safetensors")
    assert _told(nodes) == [("missing", "", ("2", "1", "3"), ())]
    assert _told(nodes, there) == [("present", "", ("2", "1", "3"), ())]


def test_nodes_that_list_the_name_find_it_alike_whatever_else_they_list() -> None:
    nodes = [
        node(1, "CLIPLoader", "t.safetensors", "flux"),
        node(2, "CLIPLoaderGGUF", "t.safetensors", "flux"),
    ]

    assert len(read(graph(*nodes)).references) == 1


def test_a_directory_that_one_node_loads_is_no_file_for_another() -> None:
    nodes = [
        node(1, "UNETLoader", "here", "default"),
        node(2, "NunchakuFluxDiTLoader", "here"),
    ]
    shelf = Shelf((), (MODELS / "diffusion_models/here",))

    (row,) = compare(read(graph(*nodes)), _FOLDERS, shelf, separator="/")

    assert (row.state.value, row.reference.node, row.found_by) == ("missing", "1", ("2",))


def test_a_core_loader_opens_one_part_of_a_model_and_is_told_that_others_are_not_here() -> None:
    name = "sh-00001-of-00002.safetensors"

    (row,) = _rows(
        [node(1, "UNETLoader", name, "default")], file(MODELS / f"diffusion_models/{name}")
    )

    assert row.state is ReferenceState.PRESENT
    assert row.hint is not None
    assert row.hint.code == Hint.OTHER_PARTS
    assert "sh-00002-of-00002.safetensors" in row.hint.cause


def test_a_node_that_reads_all_parts_lacks_the_others() -> None:
    name = "t/model-00001-of-00002.safetensors"
    nodes = [node(1, "LTXVGemmaCLIPModelLoader", name, "x.safetensors", 1024)]

    rows = _rows(nodes, file(MODELS / f"text_encoders/{name}"))

    assert rows[0].state is ReferenceState.MISSING
    assert rows[0].trouble is not None
    assert rows[0].trouble.code == "model-incomplete"


def test_two_different_files_of_one_name_are_told_by_their_paths() -> None:
    folders = Folders(
        Path("/comfy"),
        MODELS,
        {"vae": Folder("vae", (MODELS / "a", MODELS / "b"), write_root=MODELS / "a")},
    )
    here = [file(MODELS / "a/sub/d.pt", size=5), file(MODELS / "b/sub/d.pt", size=9)]

    (row,) = compare(read(graph(node(1, "VAELoader", "d.pt"))), folders, Shelf(here), separator="/")

    assert row.state is ReferenceState.AMBIGUOUS
    assert row.hint is not None
    assert str(here[0].path) in row.hint.cause
    assert str(here[1].path) in row.hint.cause


@pytest.mark.parametrize(
    ("name", "state"),
    [("her", "present"), ("HER", "missing"), ("her.safetensors", "missing"), ("b/her", "present")],
)
def test_rgthree_opens_a_file_that_has_a_name_without_suffix_in_its_own(
    name: str, state: str
) -> None:
    rows: Json = {"on": True, "lora": name, "strength": 1}

    (row,) = _rows(
        [node(1, "Power Lora Loader (rgthree)", rows)], file(MODELS / "loras/sub/here.safetensors")
    )

    assert row.state.value == state
    assert (row.hint is not None and row.hint.code == Hint.PART_OF_NAME) is (state == "present")
