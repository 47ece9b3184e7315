from __future__ import annotations

import random
from typing import Any

import pytest

from comfywatchman.comfyui.prompt import NodeTypes, is_prompt, to_prompt
from comfywatchman.domain.errors import NotAWorkflow
from tests.comfyui.building_workflows import NOW, converted, graph, inputs, node
from tests.comfyui.serving_comfyui import node_class

Json = Any


def test_values_get_the_names_of_the_widgets_in_their_order() -> None:
    workflow = graph(
        node(1, "Load", "a.safetensors"),
        node(2, "Sample", 7, "randomize", 30, ins=[("model", "MODEL", 1), ("cond", "COND", None)]),
        links=[(1, 1, 0, 2, 0)],
    )

    assert converted(workflow).prompt == {
        "1": {
            "inputs": {"name": "a.safetensors"},
            "class_type": "Load",
            "_meta": {"title": "Load It"},
        },
        "2": {
            "inputs": {"seed": 7, "steps": 30, "model": ["1", 0]},
            "class_type": "Sample",
            "_meta": {"title": "Sample"},
        },
    }


def test_a_list_that_is_too_short_leaves_the_defaults() -> None:
    assert inputs(graph(node(2, "Sample", 7)), "2") == {"seed": 7, "steps": 20}


def test_a_combo_has_a_filter_behind_its_control() -> None:
    assert inputs(graph(node(1, "Listed", "q", "fixed", "")), "1") == {"choice": "q"}


def test_the_upload_button_has_a_value_and_is_not_sent() -> None:
    assert inputs(graph(node(1, "Image", "i.png", 3.0, "image")), "1") == {
        "image": "i.png",
        "scale": 3.0,
    }


def test_a_dynamic_combo_shows_the_widgets_of_its_choice() -> None:
    assert inputs(graph(node(1, "Pick", "two", 4, 5, "end")), "1") == {
        "mode": "two",
        "mode.w": 4,
        "mode.h": 5,
        "last": "end",
    }


def test_a_value_that_is_a_list_is_no_link() -> None:
    assert inputs(graph(node(1, "Pick", "one", [1, 2], "")), "1")["mode.size"] == {
        "__value__": [1, 2]
    }


def test_values_by_name_are_taken_by_name() -> None:
    saved = node(1, "Sample")
    saved["widgets_values"] = {"steps": 3, "seed": 9, "of_the_pack": {}}

    assert inputs(graph(saved), "1") == {"seed": 9, "steps": 3}


def test_values_that_a_packs_script_saves_by_name_are_sent() -> None:
    saved = node(1, "Sample")
    saved["widgets_values"] = {
        "seed": 9,
        "crf": 19,
        "choose video to upload": "image",
        "videopreview": {"hidden": False},
    }

    assert inputs(graph(saved), "1") == {"seed": 9, "steps": 20, "crf": 19}


def test_rows_of_loras_are_numbered() -> None:
    row = {"on": True, "lora": "a.safetensors", "strength": 0.5, "strengthTwo": None}
    kind = "Power Lora Loader (rgthree)"
    types = {kind: node_class("custom_nodes.rgthree", {}, {"model": ["MODEL"]})}
    workflow = graph(node(1, kind, {}, {"type": "Header"}, row, {}, ""))
    found = to_prompt(workflow, NodeTypes(types), now=NOW)

    assert found.prompt["1"]["inputs"] == {
        "lora_1": {"on": True, "lora": "a.safetensors", "strength": 0.5}
    }
    assert found.left == {}


def test_values_that_only_a_packs_script_can_name_are_told() -> None:
    types = {"Odd": node_class("custom_nodes.odd", {"a": ["INT", {}]})}
    found = to_prompt(graph(node(1, "Odd", 1, "more")), NodeTypes(types), now=NOW)

    assert found.left == {"Odd": "1"}


def test_what_old_editors_kept_for_inputs_that_take_links_only_is_left_out() -> None:
    workflow = graph(node(1, "Sample", 7, "fixed", 30, 99))

    assert inputs(workflow, "1") == {"seed": 7, "steps": 30}


def test_muted_nodes_are_not_sent_and_nothing_comes_from_them() -> None:
    workflow = graph(
        node(1, "Load", "a.safetensors", mode=2),
        node(2, "Sample", 7, "fixed", 30, ins=[("model", "MODEL", 1)]),
        links=[(1, 1, 0, 2, 0)],
    )

    assert list(converted(workflow).prompt) == ["2"]
    assert "model" not in inputs(workflow, "2")


def test_a_bypassed_node_hands_on_the_input_of_the_same_type() -> None:
    lora = [("model", "MODEL", 1), ("clip", "CLIP", 2)]
    workflow = graph(
        node(1, "Load", "a.safetensors"),
        node(2, "Lora", "x", 1.0, ins=lora, mode=4),
        node(3, "Text", "hi", ins=[("clip", "CLIP", 3)]),
        node(4, "Sample", 1, "fixed", 2, ins=[("model", "MODEL", 4)]),
        links=[(1, 1, 0, 2, 0), (2, 1, 1, 2, 1), (3, 2, 1, 3, 0), (4, 2, 0, 4, 0)],
    )

    assert inputs(workflow, "3")["clip"] == ["1", 1]
    assert inputs(workflow, "4")["model"] == ["1", 0]


def test_a_bypassed_node_without_a_matching_input_hands_on_nothing() -> None:
    workflow = graph(
        node(1, "Text", "hi", mode=4, ins=[("clip", "CLIP", None)]),
        node(2, "Sample", 1, "fixed", 2, ins=[("cond", "COND", 1)]),
        links=[(1, 1, 0, 2, 0)],
    )

    assert "cond" not in inputs(workflow, "2")


def test_reroutes_setters_and_notes_are_not_sent() -> None:
    workflow = graph(
        node(1, "Load", "a.safetensors"),
        node(2, "Reroute", ins=[("", "*", 1)]),
        node(3, "SetNode", "m", ins=[("MODEL", "MODEL", 2)]),
        node(4, "GetNode", "m"),
        node(5, "Sample", 1, "fixed", 2, ins=[("model", "MODEL", 3)]),
        node(6, "Note", "text"),
        links=[(1, 1, 0, 2, 0), (2, 2, 0, 3, 0), (3, 4, 0, 5, 0)],
    )

    assert list(converted(workflow).prompt) == ["1", "5"]
    assert inputs(workflow, "5")["model"] == ["1", 0]


def test_a_primitive_gives_its_value_to_the_widget() -> None:
    workflow = graph(
        node(1, "PrimitiveNode", 99, "fixed"),
        node(2, "Sample", 1, "fixed", 2, ins=[("steps", "INT", 1, "steps")]),
        links=[(1, 1, 0, 2, 0)],
    )

    assert inputs(workflow, "2") == {"seed": 1, "steps": 99}


def test_a_linked_widget_is_a_link() -> None:
    workflow = graph(
        node(1, "Int", 5),
        node(2, "Sample", 1, "fixed", 2, ins=[("seed", "INT", 1, "seed")]),
        links=[(1, 1, 0, 2, 0)],
    )

    assert inputs(workflow, "2")["seed"] == ["1", 0]


def test_inputs_that_grow_keep_their_names() -> None:
    workflow = graph(
        node(1, "Sample", 1, "fixed", 2),
        node(2, "Grow", ins=[("parts.part0", "LATENT", 1), ("parts.part1", "LATENT", 2)]),
        links=[(1, 1, 0, 2, 0), (2, 1, 0, 2, 1)],
    )

    assert inputs(workflow, "2") == {"parts.part0": ["1", 0], "parts.part1": ["1", 0]}


def test_rings_of_links_end() -> None:
    workflow = graph(
        node(1, "Reroute", ins=[("", "*", 2)]),
        node(2, "Reroute", ins=[("", "*", 1)]),
        node(3, "Sample", 1, "fixed", 2, ins=[("model", "MODEL", 3)]),
        links=[(1, 1, 0, 2, 0), (2, 2, 0, 1, 0), (3, 2, 0, 3, 0)],
    )

    assert "model" not in inputs(workflow, "3")


def test_a_thousand_reroutes_are_followed() -> None:
    count = 5000
    chain = [node(at, "Reroute", ins=[("", "*", at - 1)]) for at in range(2, count)]
    end = node(count, "Sample", 1, "fixed", 2, ins=[("model", "MODEL", count - 1)])
    links = [(at, at, 0, at + 1, 0) for at in range(1, count)]
    workflow = graph(node(1, "Load", "a.safetensors"), *chain, end, links=links)

    assert inputs(workflow, str(count))["model"] == ["1", 0]


# -- texts


def test_choices_are_made_and_comments_left_out() -> None:
    text = "a {cat|dog|{red|blue} bird} /* not\nthis */ sits // nor this\nhere \\{x\\}"
    workflow = graph(node(1, "Text", text))
    made = {
        converted(workflow, dice=random.Random(seed)).prompt["1"]["inputs"]["text"]
        for seed in range(50)
    }

    assert made == {
        f"a {animal}  sits \nhere {{x}}" for animal in ("cat", "dog", "red bird", "blue bird")
    }


def test_file_names_have_dates_and_values_of_other_nodes_in_them() -> None:
    pattern = "%date:yyyy-MM-dd_hh%/%Sample.seed%_%Load It.name%_%nobody.x%_%width%"
    workflow = graph(
        node(1, "Sample", 7, "fixed", 2, properties={"Node name for S&R": "Sample"}),
        node(2, "Load", "sub/a.safetensors"),
        node(3, "SaveImage", pattern),
    )

    assert inputs(workflow, "3")["filename_prefix"] == (
        "2026-03-09_08/7_sub_a.safetensors_%nobody.x%_%width%"
    )


# -- what is not known


def test_node_types_that_the_server_lacks_are_all_named() -> None:
    workflow = graph(
        node(1, "Gone", 1),
        node(2, "Away", ins=[("x", "*", 1)]),
        node(3, "Sample", 1, "fixed", 2, ins=[("model", "MODEL", 2)]),
        links=[(1, 1, 0, 2, 0), (2, 2, 0, 3, 0)],
    )

    assert converted(workflow).unknown == {"Gone": "1", "Away": "2"}


def test_a_note_of_a_pack_that_is_linked_to_nothing_is_left_out() -> None:
    workflow = graph(node(1, "Sticky (pack)", "text"), node(2, "Int", 1))

    assert (converted(workflow).dropped, list(converted(workflow).prompt)) == (["1"], ["2"])


def test_without_a_definition_the_names_in_the_file_are_taken() -> None:
    named = node(1, "Gone", 3, "x", widgets_values_named={"count": 3, "kind": "x"})
    sockets = node(2, "Away", 5, "fixed", ins=[("seed", "INT", None, "seed")])
    bare = node(3, "Bare", 1, 2)
    found = to_prompt(graph(named, sockets, bare), NodeTypes({}, complete=False), now=NOW)

    assert found.prompt["1"]["inputs"] == {"count": 3, "kind": "x"}
    assert found.prompt["2"]["inputs"] == {"seed": 5}
    assert found.unnamed == {"Bare": "3"}


def test_links_that_are_not_drawn_are_followed() -> None:
    elsewhere = [{"downstream": 2, "downstream_slot": 0, "upstream": "1", "upstream_slot": 0}]
    workflow = graph(
        node(1, "Load", "a.safetensors"),
        node(2, "Sample", 1, "fixed", 2, ins=[("model", "MODEL", None)]),
        extra={"ue_links": elsewhere},
    )

    assert inputs(workflow, "2")["model"] == ["1", 0]


@pytest.mark.parametrize(
    "workflow",
    [
        {"nodes": []},
        {"nodes": [1, None, {}, {"id": 1}], "links": [1, [], {"id": 1}], "extra": 3},
        graph(node(1, "Sample", ins=[("model", "MODEL", 9)]) | {"inputs": 3, "outputs": 4}),
        graph(node([], "Sample") | {"widgets_values": 7, "mode": "x", "properties": []}),
        {"nodes": [node(1, "S")], "definitions": {"subgraphs": [{"id": "S"}, 1]}},
    ],
)
def test_parts_of_unexpected_kinds_count_as_absent(workflow: Json) -> None:
    converted(workflow)


def test_what_is_no_workflow_is_told() -> None:
    with pytest.raises(NotAWorkflow):
        converted({"1": {"class_type": "Int", "inputs": {}}})

    assert is_prompt({"1": {"class_type": "Int", "inputs": {}}})
    assert not is_prompt({"1": {"class_type": "Int"}})
