from __future__ import annotations

import pytest

from comfywatchman.domain.references import Lookup
from tests.analyze.building import (
    Json,
    definition,
    from_input,
    graph,
    named,
    node,
    read,
    references,
    socket,
    with_subgraphs,
)

INNER = "inner.safetensors"
OUTER = "outer.safetensors"


def loader(number: int, name: str = INNER, link: int | None = None, **more: object) -> Json:
    return node(number, "LoraLoaderModelOnly", name, 1, inputs=[socket("lora_name", link)], **more)


def promoted(*names: str) -> Json:
    """A subgraph whose inputs each stand for the widget of a loader inside."""
    nodes = [loader(at + 1, INNER, link=at + 1) for at in range(len(names))]
    links = [from_input(at + 1, at, at + 1) for at in range(len(names))]
    return definition("S", *nodes, links=links, inputs=list(names))


def test_a_model_named_inside_a_nested_subgraph_is_found_under_its_path() -> None:
    inside = definition("B", loader(3))
    outside = definition("A", node(7, "B"))

    (found,) = references(graph(node(12, "A"), **with_subgraphs(outside, inside)))

    assert (found.folder, found.name, found.node) == ("loras", INNER, "12:7:3")


def test_each_instance_of_a_subgraph_has_values_of_its_own() -> None:
    workflow = graph(
        node(1, "S", "a.safetensors"),
        node(2, "S", "b.safetensors"),
        **with_subgraphs(promoted("lora_name")),
    )

    assert [(each.name, each.node) for each in references(workflow)] == [
        ("a.safetensors", "1:1"),
        ("b.safetensors", "2:1"),
    ]


def test_an_old_instance_without_values_leaves_the_inner_value_in_force() -> None:
    host = node(1, "S", properties={"proxyWidgets": [["1", "lora_name"]]})

    assert named(graph(host, **with_subgraphs(promoted("lora_name")))) == [("loras", INNER)]


@pytest.mark.parametrize(
    "entry", [["1", "lora_name"], ["-1", "x"], [1, "lora_name"], ["1", "9: lora_name"]]
)
def test_an_old_instance_with_values_gives_them_by_its_proxies(entry: list[object]) -> None:
    host = node(1, "S", "first", OUTER, properties={"proxyWidgets": [["5", "seed"], entry]})

    assert named(graph(host, **with_subgraphs(promoted("x")))) == [("loras", OUTER)]


def test_an_old_instance_can_override_a_widget_that_has_no_input() -> None:
    inside = definition("S", loader(1))
    host = node(1, "S", OUTER, properties={"proxyWidgets": [["1", "lora_name"]]})

    assert named(graph(host, **with_subgraphs(inside))) == [("loras", OUTER)]


def test_a_new_instance_gives_values_by_the_order_of_the_definition() -> None:
    host = node(1, "S", "a.safetensors", "b.safetensors", inputs=[socket("two", None)])

    assert named(graph(host, **with_subgraphs(promoted("one", "two")))) == [
        ("loras", "a.safetensors"),
        ("loras", "b.safetensors"),
    ]


def test_inputs_that_are_no_widgets_take_no_place_in_the_list() -> None:
    inside = definition(
        "S",
        node(5, "KSampler", 0, inputs=[{"name": "model", "link": 9}]),
        loader(1, link=1),
        links=[from_input(9, 0, 5), from_input(1, 1, 1)],
        inputs=["model", "lora_name"],
    )

    assert named(graph(node(1, "S", OUTER), **with_subgraphs(inside))) == [("loras", OUTER)]


def test_a_value_put_aside_by_a_migration_goes_before_the_list() -> None:
    aside = [{"originalEntry": ["-1", "lora_name"], "reason": "r", "hostValue": "q.safetensors"}]
    host = node(1, "S", OUTER, properties={"proxyWidgetErrorQuarantine": aside})

    assert named(graph(host, **with_subgraphs(promoted("lora_name")))) == [
        ("loras", "q.safetensors")
    ]


def test_a_linked_input_of_an_instance_goes_before_its_own_value() -> None:
    workflow = graph(
        node(1, "S", OUTER, inputs=[socket("lora_name", 4)]),
        node(2, "PrimitiveNode", "linked.safetensors", "fixed"),
        links=[[4, 2, 0, 1, 0, "COMBO"]],
        **with_subgraphs(promoted("lora_name")),
    )

    assert named(workflow) == [("loras", "linked.safetensors")]


def test_one_input_can_feed_several_loaders() -> None:
    inside = definition(
        "S",
        loader(1, link=1),
        node(2, "CLIPLoader", INNER, inputs=[socket("clip_name", 2)]),
        links=[from_input(1, 0, 1), from_input(2, 0, 2)],
        inputs=["model"],
    )

    assert named(graph(node(1, "S", OUTER), **with_subgraphs(inside))) == [
        ("loras", OUTER),
        ("text_encoders", OUTER),
    ]


def test_a_value_travels_through_two_hosts() -> None:
    middle = definition(
        "M",
        node(8, "S", inputs=[socket("lora_name", 3)]),
        links=[from_input(3, 0, 8)],
        inputs=["lora"],
    )
    workflow = graph(node(1, "M", OUTER), **with_subgraphs(middle, promoted("lora_name")))

    (found,) = references(workflow)

    assert (found.name, found.node, found.how) == (OUTER, "1:8:1", "subgraph-host")


@pytest.mark.parametrize("mode", [2, 4])
def test_everything_inside_a_switched_off_instance_is_inactive(mode: int) -> None:
    (found,) = references(graph(node(1, "S", mode=mode), **with_subgraphs(promoted("lora_name"))))

    assert not found.active


def test_subgraphs_in_a_circle_end() -> None:
    one = definition("A", node(1, "B"), loader(2, "a.safetensors"))
    two = definition("B", node(1, "A"), loader(2, "b.safetensors"))

    assert named(graph(node(1, "A"), **with_subgraphs(one, two))) == [
        ("loras", "b.safetensors"),
        ("loras", "a.safetensors"),
    ]


def test_subgraphs_that_multiply_without_end_are_refused() -> None:
    levels = [
        definition(f"L{at}", *(node(each, f"L{at + 1}") for each in range(10))) for at in range(12)
    ]

    content = read(graph(node(1, "L0"), **with_subgraphs(*levels, definition("L12", loader(1)))))

    assert content.trouble is not None
    assert content.trouble.code == "workflow-too-large"


def test_a_definition_that_nobody_uses_asks_for_nothing() -> None:
    assert named(graph(loader(1, OUTER), **with_subgraphs(promoted("lora_name")))) == [
        ("loras", OUTER)
    ]


def test_definitions_inside_definitions_are_known() -> None:
    outside = {**definition("A", node(7, "B")), **with_subgraphs(definition("B", loader(3)))}

    assert named(graph(node(1, "A"), **with_subgraphs(outside))) == [("loras", INNER)]


@pytest.mark.parametrize("separator", [">", "/"])
def test_group_nodes_are_opened_and_their_outside_values_count(separator: str) -> None:
    inside = {"nodes": [node(-1, "CLIPLoader", INNER, "sd3"), node(-1, "VAELoader", "v.sft")]}
    workflow = graph(
        node(4, f"workflow{separator}Mine", OUTER, "flux", "w.safetensors"),
        extra={"groupNodes": {"Mine": inside}},
    )

    found = references(workflow)

    assert [(each.folder, each.name, each.node, each.how) for each in found] == [
        ("text_encoders", OUTER, "4:0", "group-node"),
        ("vae", "w.safetensors", "4:1", "group-node"),
    ]


def test_a_group_node_whose_values_do_not_fit_keeps_the_inner_ones() -> None:
    inside = {"nodes": [node(-1, "CLIPLoader", INNER, "sd3")]}
    workflow = graph(node(4, "workflow>Mine", OUTER), extra={"groupNodes": {"Mine": inside}})

    assert named(workflow) == [("text_encoders", INNER)]


def converted(name: str, **more: object) -> Json:
    return {"name": name, "type": "COMBO", "link": None, "widget": {"name": name}, **more}


def test_a_widget_inside_a_group_node_that_became_a_socket_has_no_value_outside() -> None:
    text = node(-1, "CLIPTextEncode", "hello", inputs=[converted("text")])
    sampler = node(-1, "KSampler", 1, "fixed", 20, inputs=[converted("seed")])
    inside = [node(-1, "VAELoader", "v.sft"), text, sampler, node(-1, "CLIPLoader", INNER, "sd3")]
    workflow = graph(
        node(4, "workflow>Mine", "w.sft", 30, OUTER, "flux"),
        extra={"groupNodes": {"Mine": {"nodes": inside}}},
    )

    assert named(workflow) == [("vae", "w.sft"), ("text_encoders", OUTER)]


def test_a_link_inside_a_group_node_is_followed() -> None:
    inside = {
        "nodes": [
            node(-1, "PrimitiveNode", "p.sft", "fixed"),
            node(-1, "VAELoader", "v.sft", inputs=[converted("vae_name", link=77)]),
        ],
        "links": [[0, 0, 1, 0, 5, "COMBO"]],
    }
    workflow = graph(node(4, "workflow>Mine"), extra={"groupNodes": {"Mine": inside}})

    assert named(workflow) == [("vae", "p.sft")]


def test_a_link_into_a_group_node_is_followed() -> None:
    inside = {"nodes": [node(-1, "VAELoader", "v.sft"), node(-1, "VAELoader", "u.sft")]}
    linked = [converted("vae_name", link=1), converted("VAELoader vae_name", link=2)]
    workflow = graph(
        node(4, "workflow>Mine", inputs=linked),
        node(5, "PrimitiveNode", "first.sft"),
        node(6, "PrimitiveNode", "second.sft"),
        links=[[1, 5, 0, 4, 0, "COMBO"], [2, 6, 0, 4, 1, "COMBO"]],
        extra={"groupNodes": {"Mine": inside}},
    )

    assert named(workflow) == [("vae", "first.sft"), ("vae", "second.sft")]


def linked_into_group(inside: list[Json], name: str, *values: object, **more: object) -> Json:
    return graph(
        node(4, "workflow>Mine", *values, inputs=[converted(name, link=1)]),
        node(5, "PrimitiveNode", "prim.sft"),
        links=[[1, 5, 0, 4, 0, "COMBO"]],
        extra={"groupNodes": {"Mine": {"nodes": inside, **more}}},
    )


A, B, C = (node(-1, "LoraLoader", f"{name}.sft", 1, 1) for name in "abc")
ALONE = node(-1, "LoraLoaderModelOnly", "alone.sft", 1)
TITLED = {"title": "Load LoRA"}
AS_SOCKET = {"inputs": [converted("lora_name")]}
NAMED = {"inputs": [converted("lora_name", label="mine")]}


@pytest.mark.parametrize(
    ("inside", "name", "names"),
    [
        ([A, B], "lora_name", ["prim", "b"]),
        ([A, B], "LoraLoader lora_name", ["a", "prim"]),
        ([A, B, C], "LoraLoader 2 lora_name", ["a", "b", "prim"]),
        ([A, ALONE], "lora_name", ["prim", "alone"]),
        ([A, ALONE], "LoraLoaderModelOnly lora_name", ["a", "prim"]),
        ([A, ALONE, B], "LoraLoader lora_name", ["a", "alone", "prim"]),
        ([A, {**B, **TITLED}], "Load LoRA lora_name", ["a", "prim"]),
        ([{**A, **TITLED}, {**B, **TITLED}, {**C, **TITLED}], "Load LoRA 2 lora_name",
         ["a", "b", "prim"]),
        ([{**A, **AS_SOCKET}, B], "LoraLoader lora_name", ["prim", "b"]),
        ([{**A, **AS_SOCKET}, B], "lora_name", ["a", "prim"]),
        ([{**A, **NAMED}, B], "mine", ["prim", "b"]),
        ([{**A, **NAMED}, B], "lora_name", ["a", "prim"]),
        ([node(-1, "Unheard Of"), A], "LoraLoader lora_name", ["prim"]),
        ([A, B], "strength_model", ["a", "b"]),
    ],
)  # fmt: skip
def test_a_link_into_a_group_node_gives_the_widget_of_that_name_and_no_other(
    inside: list[Json], name: str, names: list[str]
) -> None:
    found = named(linked_into_group(inside, name))

    assert found == [("loras", f"{each}.sft") for each in names]


def test_a_widget_of_a_group_node_that_a_person_renamed_is_followed() -> None:
    config = {"1": {"input": {"lora_name": {"name": "second"}}}}

    found = named(linked_into_group([A, B], "second", config=config))

    assert found == [("loras", "a.sft"), ("loras", "prim.sft")]


def test_a_name_that_no_node_in_the_group_explains_leaves_open_whose_it_is() -> None:
    found = references(linked_into_group([A, B], "Former Title lora_name"))

    assert {each.lookup for each in found} == {Lookup.DYNAMIC}


@pytest.mark.parametrize(
    "links", [7, [7], [[0]], [["a", 0, 1, 0]], [[0, 0, 9, 9]], [[0, 0, 0, 0]], [[-1, 0, 1, 0]]]
)
def test_links_of_a_group_node_that_are_none_cost_nothing(links: object) -> None:
    inside = {"nodes": [node(-1, "VAELoader", "v.sft", inputs=[converted("vae_name")])]}
    workflow = graph(
        node(4, "workflow>Mine"), extra={"groupNodes": {"Mine": {**inside, "links": links}}}
    )

    assert [name for _, name in named(workflow)] in (["v.sft"], [])


def test_a_value_that_another_node_computes_is_dynamic() -> None:
    workflow = graph(
        loader(1, "stale.safetensors", link=5),
        node(2, "SomeSelector", 3),
        links=[[5, 2, 0, 1, 0, "COMBO"]],
    )

    (found,) = references(workflow)

    assert (found.lookup, found.name, found.folder) == (Lookup.DYNAMIC, "", "loras")


def test_links_are_followed_through_reroutes() -> None:
    workflow = graph(
        loader(1, "stale.safetensors", link=5),
        node(2, "Reroute", inputs=[{"name": "", "link": 6}]),
        node(3, "PrimitiveNode", OUTER),
        links=[[5, 2, 0, 1, 0, "*"], [6, 3, 0, 2, 0, "*"]],
    )

    assert named(workflow) == [("loras", OUTER)]


def test_links_in_a_circle_end() -> None:
    workflow = graph(
        loader(1, link=5),
        node(2, "Reroute", inputs=[{"name": "", "link": 6}]),
        node(3, "Reroute", inputs=[{"name": "", "link": 7}]),
        links=[[5, 2, 0, 1, 0, "*"], [6, 3, 0, 2, 0, "*"], [7, 2, 0, 3, 0, "*"]],
    )

    (found,) = references(workflow)

    assert found.lookup is Lookup.DYNAMIC


def test_ids_may_be_text_in_one_place_and_numbers_in_another() -> None:
    workflow = graph(
        loader(1, "stale.safetensors", link=5),
        node("2", "PrimitiveNode", OUTER),
        links=[{"id": "5", "origin_id": 2, "origin_slot": 0, "target_id": "1", "target_slot": 0}],
    )

    assert named({**workflow, "version": 1}) == [("loras", OUTER)]
