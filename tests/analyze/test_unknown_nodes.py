from __future__ import annotations

import json

import pytest

from comfywatchman.analyze.guesses import guessed_folder
from comfywatchman.domain.references import Lookup
from tests.analyze.building import Json, graph, named, node, references, socket

# -- a file is chosen in one node and loaded by another


CHOICE = {"name": "c", "type": "*", "links": [1]}


def loader(number: int, link: int) -> Json:
    return node(
        number, "CheckpointLoaderSimple", "old.safetensors", inputs=[socket("ckpt_name", link)]
    )


def test_the_one_name_that_an_unknown_node_holds_is_what_it_gives_to_a_loader() -> None:
    workflow = graph(
        node(1, "Pick (some pack)", "Checkpoint", "choice", "a.safetensors", outputs=[CHOICE]),
        loader(2, 1),
        links=[[1, 1, 0, 2, 0, "*"]],
    )

    (found,) = references(workflow)

    assert (found.folder, found.name, found.nodes) == ("checkpoints", "a.safetensors", ("2", "1"))


def test_a_node_that_holds_two_names_gives_one_that_nobody_knows() -> None:
    workflow = graph(
        node(1, "Pick (some pack)", "a.safetensors", "b.safetensors", outputs=[CHOICE]),
        loader(2, 1),
        links=[[1, 1, 0, 2, 0, "*"]],
    )

    loaded = next(each for each in references(workflow) if each.node == "2")

    assert loaded.lookup is Lookup.DYNAMIC


def test_a_name_is_followed_through_a_node_that_passes_it_on() -> None:
    workflow = graph(
        node(1, "Pick (some pack)", "a.safetensors", outputs=[CHOICE]),
        node(2, "To Combo", "", inputs=[socket("text", 1)]),
        loader(3, 2),
        links=[[1, 1, 0, 2, 0, "*"], [2, 2, 0, 3, 0, "*"]],
    )

    assert named(workflow) == [("checkpoints", "a.safetensors")]


def test_a_name_that_goes_into_a_text_asks_for_nothing() -> None:
    workflow = graph(
        node(1, "CheckpointLoaderSimple", "a.safetensors"),
        node(2, "SaveImage", "ComfyUI", inputs=[socket("filename_prefix", 1)]),
        links=[[1, 1, 3, 2, 0, "STRING"]],
    )

    assert named(workflow) == [("checkpoints", "a.safetensors")]


def test_in_a_prompt_a_chosen_name_is_found_as_well() -> None:
    prompt = {
        "1": {"class_type": "Pick", "inputs": {"name": "x", "default": "a.safetensors"}},
        "2": {"class_type": "Pass", "inputs": {"value": ["1", 0]}},
        "3": {"class_type": "VAELoader", "inputs": {"vae_name": ["2", 0]}},
    }

    assert named(prompt) == [("vae", "a.safetensors")]


def test_a_name_without_a_folder_goes_with_the_one_that_a_loader_gives_it() -> None:
    workflow = graph(node(1, "X", "a.safetensors"), node(2, "VAELoader", "a.safetensors"))

    (found,) = references(workflow)

    assert (found.folder, found.node, found.nodes) == ("vae", "2", ("2", "1"))


# -- what is no name of a file


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("text, embedding:easynegative.safetensors", [("embeddings", "easynegative.safetensors")]),
        ("a.safetensors,b.safetensors", []),
        ("a.pth, b.pth", []),
        ("*.safetensors", []),
    ],
)
def test_a_text_that_ends_like_a_file_may_be_no_file(
    text: str, expected: list[tuple[str, str]]
) -> None:
    assert named(graph(node(1, "X", text))) == expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("Text String", []),
        ("String Literal", []),
        ("Save Image w/Data", []),
        ("ModelInfo", [(None, "a.safetensors")]),  # what has to do with models may read one
    ],
)
def test_texts_of_a_node_that_only_tells_them_ask_for_nothing(
    kind: str, expected: list[tuple[None, str]]
) -> None:
    assert named(graph(node(1, kind, "a.safetensors"))) == expected


@pytest.mark.parametrize(
    "value", [".none", ".use_ckpt_vae", "[no models found]", "(none)", "Automatic", "auto"]
)
def test_what_packs_list_instead_of_a_file_is_none(value: str) -> None:
    assert named(graph(node(1, "VAELoader", value))) == []


def test_a_prompt_at_a_loaders_place_is_no_file() -> None:
    workflow = graph(node(1, "Mine", "a girl, smiling"), node(2, "Mine", "t5xxl_fp16"))

    assert named(workflow, "Mine -> loras 0:x") == [("loras", "t5xxl_fp16")]


def test_nodes_of_a_service_name_nothing_on_this_disk() -> None:
    assert named(graph(node(1, "BizyAir_UNETLoader", "a.safetensors"))) == []


# -- where a name may stand


def test_names_in_a_widget_that_keeps_objects_as_text_are_found() -> None:
    kept = json.dumps({"rows": [{"lora_name": "a.safetensors", "on": False}, {"x": 1}]})

    (found,) = references(graph(node(1, "X", kept)))

    assert (found.folder, found.name, found.active) == ("loras", "a.safetensors", False)


def test_a_workflow_that_a_widget_keeps_as_text_asks_for_nothing() -> None:
    kept = json.dumps({"1": {"class_type": "VAELoader", "inputs": {"vae_name": "a.safetensors"}}})

    assert references(graph(node(1, "X", kept))) == []


def test_widgets_of_another_version_of_a_pack_are_found_by_their_values() -> None:
    now = node(1, "ttN pipeLoader", "c.safetensors", "Default", "Baked VAE", -1, "l.safetensors")
    then = node(2, "ttN pipeLoader", "d.safetensors", "v.safetensors", -1, "None", 1, 1, "None")

    assert named(graph(now)) == [("checkpoints", "c.safetensors"), ("loras", "l.safetensors")]
    assert named(graph(then)) == [("checkpoints", "d.safetensors"), ("vae", "v.safetensors")]


@pytest.mark.parametrize(
    ("kind", "widget", "folder"),
    [
        ("Anything", "default_lora_name", "loras"),
        ("Anything", "refinerVae", "vae"),
        ("Anything", "diffusion_model", "diffusion_models"),
        ("LoadWanTextEncoderModel", "", "text_encoders"),
        ("LoadQwenVAEModel", "", "vae"),
        ("Sample", "", None),
        ("Sample", "elaborate", None),
    ],
)
def test_words_of_a_widgets_or_nodes_name_tell_the_folder(
    kind: str, widget: str, folder: str | None
) -> None:
    assert guessed_folder(kind, widget) == folder


def test_a_detector_is_known_by_how_its_file_is_called() -> None:
    assert named(graph(node(1, "X", "segm\\person.pt"))) == [("ultralytics", "segm/person.pt")]
