"""What a server's answers prove about node types that the loader table does not know."""

from __future__ import annotations

import gzip
import json
from typing import Any

import msgspec
import pytest

from comfywatchman.analyze.lessons import Served, lessons
from comfywatchman.analyze.loaders import read_tables
from tests.comfyui.serving_comfyui import CAPTURES, node_class, v1, v3

LORAS = ["a.safetensors", "style/b.safetensors"]
FOLDERS: dict[str, list[object]] = {
    "loras": list(LORAS),
    "checkpoints": ["one.ckpt", "two.safetensors"],
    "vae": [],
    "configs": ["v1.yaml"],
}


def taught(
    classes: dict[str, Any], folders: dict[str, list[object]] | None = None, known: str = ""
) -> list[str]:
    """Return the lines that an answer proves; *known* is a type that the table has."""
    found = lessons(json.dumps(classes).encode(), folders or FOLDERS, lambda kind: kind == known)
    return [line for _, lines in found for line in lines]


@pytest.mark.parametrize("shape", [v1, v3])
def test_a_widget_with_the_models_of_one_folder_names_a_file_of_it(shape: Any) -> None:
    fancy = node_class(required={"model": ["MODEL"], "name": shape(LORAS)})

    assert taught({"Fancy Loader": fancy}) == ["Fancy Loader -> loras 0:name file"]


@pytest.mark.parametrize(
    "choices",
    [
        ["None", *LORAS],
        [*LORAS, "disabled"],
        ["a.safetensors", "style\\b.safetensors"],
        list(reversed(LORAS)),
    ],
)
def test_sentinels_slashes_and_order_do_not_count(choices: list[str]) -> None:
    assert taught({"X": node_class(required={"name": v1(choices)})}) == ["X -> loras 0:name file"]


@pytest.mark.parametrize(
    "choices",
    [
        [],
        ["None"],
        ["a.safetensors"],
        [*LORAS, "c.safetensors"],
        ["euler", "heun"],
        ["v1.yaml"],
    ],
)
def test_another_list_proves_nothing(choices: list[str]) -> None:
    assert taught({"X": node_class(required={"name": v1(choices)})}) == []


def test_two_folders_with_equal_lists_prove_nothing() -> None:
    same: dict[str, list[object]] = {"loras": list(LORAS), "vae": list(LORAS)}

    assert taught({"X": node_class(required={"name": v1(LORAS)})}, same) == []


def test_two_keys_of_one_folder_are_one_folder() -> None:
    same: dict[str, list[object]] = {"unet_gguf": ["a.gguf"], "diffusion_models": ["a.gguf"]}

    assert taught({"X": node_class(required={"name": v1(["a.gguf"])})}, same) == [
        "X -> diffusion_models 0:name file"
    ]


def test_the_models_of_two_folders_together_are_both() -> None:
    both = [*LORAS, "one.ckpt", "two.safetensors"]

    assert taught({"X": node_class(required={"name": v1(both)})}) == [
        "X -> loras,checkpoints 0:name file"
    ]


def test_every_widget_has_a_line_of_its_own() -> None:
    stack = node_class(
        required={"lora_1": v1(LORAS), "weight_1": ["FLOAT", {}], "lora_2": v1(LORAS)},
        optional={"ckpt": v3(["one.ckpt", "two.safetensors"])},
    )

    assert taught({"Stack": stack}) == [
        "Stack -> loras 0:lora_1 file",
        "Stack -> loras 2:lora_2 file",
        "Stack -> checkpoints 3:ckpt file",
    ]


POSITIONS: dict[str, tuple[dict[str, Any], str]] = {
    "a socket takes no place": ({"image": ["IMAGE"]}, "0:name"),
    "a number takes one": ({"steps": ["INT", {"default": 1}]}, "1:name"),
    "a seed takes two": ({"seed": ["INT", {}]}, "2:name"),
    "so does a noise seed": ({"noise_seed": ["INT", {}]}, "2:name"),
    "and what says that it is one": ({"n": ["INT", {"control_after_generate": True}]}, "2:name"),
    "a seed that says it is none": (
        {"seed": ["INT", {"control_after_generate": False}]},
        "1:name",
    ),
    "choices with such a control take three": (
        {"mode": v1(["x", "y"], control_after_generate=True)},
        "3:name",
    ),
    "a forced input takes none": ({"text": ["STRING", {"forceInput": True}]}, "0:name"),
    "a text takes one": ({"text": ["STRING", {"multiline": True}]}, "1:name"),
    "an upload takes nobody knows how many": ({"file": ["IMAGEUPLOAD", {}]}, "name"),
    "nor does a group of inputs tell": ({"more": ["COMFY_DYNAMICCOMBO_V3", {}]}, "name"),
    "a description that is none": ({"odd": 5}, "0:name"),
}


@pytest.mark.parametrize("case", POSITIONS)
def test_a_position_counts_the_widgets_before_it(case: str) -> None:
    before, where = POSITIONS[case]

    found = taught({"X": node_class(required={**before, "name": v1(LORAS)})})

    assert found == [f"X -> loras {where} file"]


def test_behind_an_upload_button_only_the_optional_ones_have_no_position() -> None:
    kind = node_class(
        required={"image": v1(["x.png"], image_upload=True), "one": v1(LORAS)},
        optional={"two": v1(LORAS)},
    )

    assert taught({"X": kind}) == ["X -> loras 1:one file", "X -> loras two file"]


def test_the_order_of_the_server_goes_before_that_of_the_text() -> None:
    kind = node_class(required={"steps": ["INT", {}], "name": v1(LORAS)})
    kind["input_order"] = {"required": ["name", "steps", "gone", 5]}

    assert taught({"X": kind}) == ["X -> loras 0:name file"]


def test_a_type_that_the_table_knows_is_not_learned() -> None:
    assert taught({"X": node_class(required={"name": v1(LORAS)})}, known="X") == []


@pytest.mark.parametrize(
    ("kind", "widget"),
    [("X -> loras", "name"), ("# X", "name"), (" X ", "name"), ("X", "3:name"), ("X\nY", "name")],
)
def test_a_name_that_looks_like_the_grammar_makes_no_line(kind: str, widget: str) -> None:
    for line in taught({kind: node_class(required={widget: v1(LORAS)})}):
        (rules,) = read_tables("", "", [line]).rules.values()
        assert [rule.spot.name for rule in rules] == [widget]


def test_a_space_in_a_widgets_name_is_written_as_the_grammar_wants_it() -> None:
    (line,) = taught({"X": node_class(required={"lora name": v1(LORAS)})})

    assert read_tables("", "", [line]).rules["X"][0].spot.name == "lora name"


def test_every_type_is_told_with_its_module_and_odd_descriptions_are_passed_over() -> None:
    classes = {
        "Good": node_class("custom_nodes.fancy"),
        "No module": {"input": {"required": {}}},
        "No inputs": {"python_module": "nodes"},
        "Not an object": 5,
        "": node_class(),
        "x" * 1000: node_class(),
        "Lists": {"input": {"required": [], "optional": 5}, "input_order": 5},
    }

    found = [
        served for served, _ in lessons(json.dumps(classes).encode(), FOLDERS, lambda _: False)
    ]

    assert found == [
        Served("Good", "custom_nodes.fancy"),
        Served("No module", ""),
        Served("Lists", ""),
    ]


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"a": }', b"<html>"])
def test_what_is_no_such_answer_is_refused(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        list(lessons(data, FOLDERS, lambda _: False))


@pytest.mark.shared
@pytest.mark.skipif(not CAPTURES.is_dir(), reason="the captures of the team are not here")
def test_an_empty_installation_as_a_real_server_tells_it_proves_nothing() -> None:
    answer = gzip.decompress((CAPTURES / "object_info.json.gz").read_bytes())

    found = list(lessons(answer, {"loras": [], "checkpoints": []}, lambda _: False))

    assert len(found) == 496
    assert [lines for _, lines in found if lines] == []
    assert {served.module for served, _ in found if served.type == "KSampler"} == {"nodes"}
