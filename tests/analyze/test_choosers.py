"""Values that other nodes hold or pass on: counts, switches, choices, texts with tags."""

from __future__ import annotations

import pytest

from comfywatchman.domain.references import Lookup
from tests.analyze.building import Json, graph, named, node, references, socket

STACK = [value for row in "abcde" for value in (f"{row}.pt", 1, 1, 1)]


def stacker(source: Json) -> Json:
    """A stack of five whose count is linked."""
    stack = node(2, "LoRA Stacker", "simple", 5, *STACK, inputs=[socket("lora_count", 7)])
    return graph(source, stack, links=[[7, source["id"], 0, 2, 0, "INT"]])


@pytest.mark.parametrize(
    "source",
    [
        node(1, "PrimitiveNode", 2, "fixed"),
        node(1, "PrimitiveInt", 2, "fixed"),
        node(1, "INTConstant", 2),
        node(1, "easy int", 2),
    ],
)
def test_a_count_comes_from_any_node_that_holds_one(source: Json) -> None:
    assert named(stacker(source)) == [("loras", "a.pt"), ("loras", "b.pt")]


@pytest.mark.parametrize(
    "source",
    [
        node(1, "RandomInt", 2),
        node(1, "Counting", 1, 2),
        node(1, "PrimitiveInt", 2, "randomize"),
        node(1, "PrimitiveNode", 2, "increment"),
        node(1, "easy int", 2, "decrement"),
    ],
)
def test_rows_of_a_stack_whose_count_is_computed_are_dynamic(source: Json) -> None:
    found = references(stacker(source))

    assert [each.name for each in found] == ["a.pt", "b.pt", "c.pt", "d.pt", "e.pt"]
    assert {each.lookup for each in found} == {Lookup.DYNAMIC}


@pytest.mark.parametrize("source", ["PrimitiveNode", "PrimitiveBoolean", "BOOLConstant"])
def test_a_switch_comes_from_any_node_that_holds_one(source: str) -> None:
    stack = node(2, "easy loraStack", True, "simple", 2, *STACK, inputs=[socket("toggle", 7)])
    workflow = graph(node(1, source, False), stack, links=[[7, 1, 0, 2, 0, "BOOLEAN"]])

    assert named(workflow) == []


def test_a_count_in_a_prompt_comes_from_a_primitive() -> None:
    inputs = {"lora_count": ["1", 0], "lora_name_1": "a.pt", "lora_name_2": "b.pt"}
    prompt = {
        "1": {"class_type": "PrimitiveInt", "inputs": {"value": 1}},
        "2": {"class_type": "LoRA Stacker", "inputs": inputs},
    }

    assert named(prompt) == [("loras", "a.pt")]


def test_of_a_list_of_choices_only_the_chosen_one_is_wanted() -> None:
    combo = node(1, "CustomCombo", "x.pt", 0, "x.pt", "y.pt")
    loader = node(2, "LoraLoader", "z.pt", 1, 1, inputs=[socket("lora_name", 7)])

    assert named(graph(combo, loader, links=[[7, 1, 0, 2, 0, "COMBO"]])) == [("loras", "x.pt")]


def switched(kind: str, choice: object, *sockets: str) -> Json:
    inputs = [{"name": name, "link": 10 + at} for at, name in enumerate(sockets)]
    return graph(
        node(1, "LoraLoader", "z.pt", 1, 1, inputs=[socket("lora_name", 7)]),
        node(2, kind, choice, inputs=inputs),
        node(3, "PrimitiveString", "x.pt"),
        node(4, "PrimitiveString", "y.pt"),
        links=[[7, 2, 0, 1, 0, "*"], [10, 3, 0, 2, 0, "*"], [11, 4, 0, 2, 1, "*"]],
    )


@pytest.mark.parametrize(
    ("workflow", "wanted"),
    [
        (switched("ImpactSwitch", 1, "input1", "input2"), "x.pt"),
        (switched("ImpactSwitch", 2, "input1", "input2"), "y.pt"),
        (switched("ComfySwitchNode", True, "on_false", "on_true"), "y.pt"),
        (switched("Any Switch (rgthree)", None, "any_01", "any_02"), "x.pt"),
        (switched("Odd Switch", 1, "a", "b"), None),
    ],
)
def test_of_what_a_switch_gets_only_what_it_passes_on_is_wanted(
    workflow: Json, wanted: str | None
) -> None:
    assert named(workflow) == ([("loras", wanted)] if wanted else [])


@pytest.mark.parametrize(
    "workflow",
    [
        graph(node(1, "LoraTagLoader", "a <lora:x:1>")),
        {"1": {"class_type": "easy fullLoader", "inputs": {"negative": "<lora:x:1>"}}},
        {"1": {"class_type": "PCLazyLoraLoader", "inputs": {"text": ["2", 0]}},
         "2": {"class_type": "Some Template", "inputs": {"a": ["3", 0], "n": 5}},
         "3": {"class_type": "PrimitiveString", "inputs": {"value": "<lora:x:1>"}}},
        graph(
            node(1, "LoRA Text Loader (LoraManager)", inputs=[{"name": "lora_syntax", "link": 7}]),
            node(2, "Join", "", inputs=[{"name": "a", "type": "STRING", "link": 8}]),
            node(3, "PrimitiveStringMultiline", "a <lora:x:1>, b"),
            links=[[7, 2, 0, 1, 0, "STRING"], [8, 3, 0, 2, 0, "STRING"]],
        ),
    ],
)  # fmt: skip
def test_tags_are_wanted_where_the_text_of_a_node_that_loads_them_has_them(workflow: Json) -> None:
    (found,) = references(workflow)

    assert (found.folder, found.name, found.how, found.active) == ("loras", "x", "lora-text", True)


@pytest.mark.parametrize("text", ["", "a prompt"])
def test_tags_in_a_text_that_goes_nowhere_ask_for_nothing(text: str) -> None:
    workflow = graph(node(1, "LoraTagLoader", text), node(2, "PrimitiveString", "<lora:x:1>"))

    assert references(workflow) == []


def test_a_part_of_a_name_is_known_only_with_its_suffix() -> None:
    found = references(graph(*(
        node(at, "WanVideoLoraSelectByName", name) for at, name in enumerate(("x.pt", "distill"))
    )))  # fmt: skip

    assert [(each.name, each.lookup) for each in found] == [
        ("x.pt", Lookup.STEM), ("", Lookup.DYNAMIC),
    ]  # fmt: skip


def test_sockets_in_another_order_than_the_values_do_not_misplace_a_core_loader_s() -> None:
    loader = node(
        1, "LTXAVTextEncoderLoader", "t.pt", "c.pt",
        inputs=[socket("ckpt_name", None), socket("text_encoder", None)],
    )  # fmt: skip

    assert named(graph(loader)) == [("text_encoders", "t.pt"), ("checkpoints", "c.pt")]


@pytest.mark.parametrize(("state", "names"), [(True, ["a"]), (False, [])])
def test_a_switch_of_another_kind_turns_a_row_of_words_on(state: bool, names: list[str]) -> None:
    stack = node(2, "CR LoRA Stack", "Off", "a.pt", 1, 1, inputs=[socket("switch_1", 7)])
    links = [[7, 1, 0, 2, 0, "BOOLEAN"]]

    found = named(graph(node(1, "PrimitiveBoolean", state), stack, links=links))

    assert found == [("loras", f"{each}.pt") for each in names]


def test_a_model_that_is_chosen_at_random_next_time_is_wanted_now() -> None:
    loader = node(2, "VAELoader", "old.pt", inputs=[socket("vae_name", 7)])
    links = [[7, 1, 0, 2, 0, "COMBO"]]

    found = named(graph(node(1, "PrimitiveNode", "x.pt", "randomize"), loader, links=links))

    assert found == [("vae", "x.pt")]


@pytest.mark.parametrize(
    ("source", "name"), [("PrimitiveString", "new.pt"), ("PrimitiveNode", "old.pt")]
)
def test_an_input_that_names_the_link_of_another_is_read_as_the_editor_does(
    source: str, name: str
) -> None:
    loader = node(2, "VAELoader", "old.pt", inputs=[socket("vae_name", 7)])
    links = [[7, 1, 0, 3, 0, "COMBO"]]

    found = named(graph(node(1, source, "new.pt"), loader, node(3, "X"), links=links))

    assert ("vae", name) in found
