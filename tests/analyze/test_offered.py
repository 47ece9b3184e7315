"""What a node offers, and what it refuses although it is here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from comfywatchman.analyze.compare import compare
from comfywatchman.domain.errors import SettingsInvalid
from comfywatchman.domain.files import Folder, Folders, ModelFile, parts_of
from comfywatchman.domain.references import (
    Finding,
    Hint,
    Lookup,
    ModelReference,
    ReferenceState,
    WorkflowContent,
)
from comfywatchman.parsing.tables import shipped_tables
from tests.analyze.building import graph, named, node, references
from tests.analyze.comparing import (
    FOLDERS,
    MODELS,
    Shelf,
    code,
    fetchable,
    file,
    finding,
    wanting,
)

PT = (".ckpt", ".pt", ".safetensors")
TRIED = (".safetensors", ".pt", ".bin")


def error(found: Finding) -> str | None:
    return None if found.trouble is None else found.trouble.code


def cause(found: Finding) -> str:
    return "" if found.trouble is None else found.trouble.cause


# -- suffixes


def core(name: str, folder: str = "loras") -> ModelReference:
    return replace(wanting(name, folder), lists=PT)


def test_a_file_with_a_suffix_that_the_node_does_not_list_is_not_present() -> None:
    here = file(MODELS / "loras/x.gguf")

    refused, taken = finding(core("x.gguf"), here), finding(wanting("x.gguf"), here)

    assert (refused.state, error(refused)) == (ReferenceState.MISSING, "name-not-listed")
    assert str(here.path) in cause(refused)
    assert fetchable(refused) == ()
    assert taken.state is ReferenceState.PRESENT


def test_a_suffix_counts_in_any_case() -> None:
    here = file(MODELS / "loras/x.SafeTensors")

    assert finding(core("x.SafeTensors"), here).state is ReferenceState.PRESENT


def test_a_name_without_a_suffix_is_missing_and_not_fetched() -> None:
    found = finding(core("noext"))

    assert (found.state, error(found)) == (ReferenceState.MISSING, "name-not-listed")
    assert fetchable(found) == ()


def test_a_name_without_a_suffix_is_taken_for_the_file_that_has_one() -> None:
    found = finding(core("flux"), file(MODELS / "loras/flux.safetensors"))

    assert (found.state, code(found), found.spelling) == (
        ReferenceState.ELSEWHERE,
        Hint.OTHER_SUFFIX,
        "flux.safetensors",
    )
    assert fetchable(found) == ()


def test_a_file_of_the_same_name_with_another_suffix_is_told_and_the_right_one_fetched() -> None:
    found = finding(core("x.pt"), file(MODELS / "loras/x.safetensors"), file(MODELS / "vae/x.ckpt"))

    assert (found.state, code(found)) == (ReferenceState.MISSING, Hint.OTHER_SUFFIX)
    assert found.hint is not None
    assert str(MODELS / "loras/x.safetensors") in found.hint.cause
    assert fetchable(found) == (found,)


@pytest.mark.parametrize("value", ["flux", "noext", "my lora, v2", "FluxDev"])
def test_what_a_core_loader_cannot_have_in_its_list_is_a_row_all_the_same(value: str) -> None:
    assert named(graph(node(1, "LoraLoader", value, 1, 1))) == [("loras", value)]


@pytest.mark.parametrize("value", ["None", "none", "", "[None]", "pixel_space"])
def test_what_stands_for_no_file_is_no_row(value: str) -> None:
    assert named(graph(node(1, "VAELoader", value))) == []


def test_the_table_says_which_suffixes_a_node_lists() -> None:
    workflow = graph(node(1, "UNETLoader", "a.gguf"), node(2, "UnetLoaderGGUF", "b.gguf"))

    first, second = references(workflow)

    assert ".gguf" not in first.lists
    assert ".safetensors" in first.lists
    assert second.lists == (".gguf",)


def test_of_two_nodes_that_ask_for_one_file_the_one_that_refuses_it_is_told_apart() -> None:
    workflow = graph(node(1, "UnetLoaderGGUF", "q.gguf"), node(2, "UNETLoader", "q.gguf"))

    assert [found.nodes for found in references(workflow)] == [("1",), ("2",)]


def test_every_loader_of_comfyui_itself_says_what_it_lists() -> None:
    tables = shipped_tables()
    rules = [(kind, rule) for kind in tables.core for rule in tables.rules_of(kind) or ()]

    silent = {kind for kind, rule in rules if not rule.lists and rule.marker is None}

    assert len(rules) > 40
    assert silent == set()


def test_a_suffix_without_a_dot_is_no_line() -> None:
    with pytest.raises(SettingsInvalid):
        references(graph(node(1, "Mine", "x")), "Mine -> loras 0:x lists=gguf")


# -- directories


def diffusers(name: str) -> ModelReference:
    reference = wanting(name, "diffusers", Lookup.DIRECTORY)
    return replace(reference, marker="model_index.json")


def in_diffusers(name: str, *holds: str) -> Finding:
    places = [MODELS / "diffusers/good", *(MODELS / "diffusers/good" / each for each in holds)]
    content = content_of(diffusers(name))
    (found,) = compare(content, FOLDERS, Shelf((), places), separator="/")
    return found


def content_of(reference: ModelReference) -> WorkflowContent:
    return WorkflowContent("json", "ui", references=(reference,))


def test_a_directory_counts_only_with_the_file_that_the_node_looks_for() -> None:
    assert in_diffusers("good", "model_index.json").state is ReferenceState.PRESENT

    bare = in_diffusers("good")

    assert (bare.state, error(bare)) == (ReferenceState.MISSING, "name-not-listed")
    assert fetchable(bare) == ()


def test_a_directory_in_other_case_is_told() -> None:
    found = in_diffusers("Good", "model_index.json")

    assert (found.state, code(found), found.spelling) == (
        ReferenceState.ELSEWHERE,
        Hint.OTHER_CASE,
        "good",
    )


# -- parts


def part(number: int, folder: str = "loras") -> ModelFile:
    return file(MODELS / folder / f"m/model-{number:05}-of-00003.safetensors", size=number)


def test_a_model_in_parts_is_missing_until_all_of_them_are_here() -> None:
    asked = wanting("m/model-00001-of-00003.safetensors")

    lacking = finding(asked, part(1), part(3), part(2, "vae"))
    whole = finding(asked, part(1), part(2), part(3))

    assert (lacking.state, error(lacking)) == (ReferenceState.MISSING, "model-incomplete")
    assert "model-00002-of-00003.safetensors" in cause(lacking)
    assert "model-00003" not in cause(lacking)
    assert whole.state is ReferenceState.PRESENT


def test_the_names_of_parts_are_those_of_the_whole_set() -> None:
    assert parts_of("a-00002-of-00002.gguf") == ("a-00001-of-00002.gguf", "a-00002-of-00002.gguf")
    assert parts_of("a-2-of-2.gguf") == ("a-2-of-2.gguf",)
    assert parts_of("a-00001-of-99999.gguf") == ("a-00001-of-99999.gguf",)


# -- a pack's own directories


def test_a_file_below_a_pack_s_key_is_offered_with_the_prefix_wherever_it_lies() -> None:
    own = Path("/x/ub")
    key = Folder("ultralytics/bbox", (MODELS / "ultralytics/bbox", own))
    folders = Folders(Path("/comfy"), MODELS, {"ultralytics/bbox": key})
    content = content_of(wanting("bbox/face.pt", "ultralytics"))

    (found,) = compare(content, folders, Shelf([file(own / "face.pt")]), separator="/")

    assert (found.state, found.path) == (ReferenceState.PRESENT, own / "face.pt")


# -- embeddings


def embedding(name: str) -> ModelReference:
    return replace(wanting(name, "embeddings", Lookup.STEM), lists=TRIED, how="embedding-text")


@pytest.mark.parametrize("suffix", TRIED)
def test_the_suffixes_that_comfyui_tries_behind_an_embedding_s_name_are_found(suffix: str) -> None:
    here = file(MODELS / f"embeddings/sub/e{suffix}")

    assert finding(embedding("e"), here).state is ReferenceState.PRESENT
    assert finding(embedding("sub/e"), here).state is ReferenceState.PRESENT
    assert finding(embedding(f"e{suffix}"), here).state is ReferenceState.PRESENT


def test_an_embedding_with_a_suffix_that_is_not_tried_has_to_be_written_with_it() -> None:
    here = file(MODELS / "embeddings/e2.ckpt")

    found = finding(embedding("e2"), here)

    assert (found.state, code(found), found.spelling) == (
        ReferenceState.ELSEWHERE,
        Hint.OTHER_SUFFIX,
        "e2.ckpt",
    )
    assert finding(embedding("e2.ckpt"), here).state is ReferenceState.PRESENT


def test_an_embedding_in_a_subdirectory_differs_in_case_only() -> None:
    found = finding(embedding("EMB"), file(MODELS / "embeddings/sub/emb.pt"))

    assert (code(found), found.spelling) == (Hint.OTHER_CASE, "emb")


def test_where_an_embedding_should_lie_is_told_with_the_suffix_of_the_file() -> None:
    table = {"embeddings": Folder("embeddings", (MODELS / "embeddings",), write_root=MODELS / "e")}
    folders = Folders(Path("/comfy"), MODELS, table)
    shelf = Shelf([file(MODELS / "embeddings/Cap.safetensors")])

    (found,) = compare(content_of(embedding("cap")), folders, shelf, separator="/")

    assert found.hint is not None
    assert str(MODELS / "e/cap.safetensors") in found.hint.remedy
