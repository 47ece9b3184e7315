from __future__ import annotations

import pytest

from comfywatchman.domain.references import MOST_NODES, NodeTypeUse
from tests.analyze.building import Json, definition, graph, node, read, with_subgraphs

KIND = "Frame Painter"
MUTED, BYPASSED = 2, 4


def use(workflow: object) -> NodeTypeUse:
    (found,) = (each for each in read(workflow).node_types if each.type == KIND)
    return found


def test_a_type_is_told_with_the_ids_of_its_nodes() -> None:
    found = use(graph(node(3, KIND), node(1, "VAELoader", "v.safetensors"), node(7, KIND)))

    assert (found.count, found.nodes, found.active) == (2, ("3", "7"), True)


def test_a_node_in_subgraphs_has_the_ids_of_its_frames_before_its_own() -> None:
    inside = definition("B", node(3, KIND))
    outside = definition("A", node(7, "B"), node(8, KIND))

    found = use(graph(node(12, "A"), **with_subgraphs(outside, inside)))

    assert set(found.nodes) == {"12:7:3", "12:8"}
    assert found.count == 2


def test_each_instance_of_a_subgraph_counts() -> None:
    workflow = graph(node(1, "S"), node(2, "S"), **with_subgraphs(definition("S", node(5, KIND))))

    assert use(workflow).nodes == ("1:5", "2:5")


def test_a_subgraph_that_no_node_stands_for_uses_nothing() -> None:
    workflow = graph(node(1, "VAELoader"), **with_subgraphs(definition("S", node(5, KIND))))

    assert [each.type for each in read(workflow).node_types] == ["VAELoader"]


def test_a_node_in_a_group_node_has_its_position_as_id() -> None:
    group = {"nodes": [node(0, "VAELoader", "v.safetensors"), node(0, KIND)], "links": []}

    found = use(graph(node(4, "workflow>G"), extra={"groupNodes": {"G": group}}))

    assert found.nodes == ("4:1",)


def test_the_frames_themselves_are_no_node_types() -> None:
    group = {"nodes": [node(0, KIND)], "links": []}
    workflow = graph(
        node(1, "S"),
        node(4, "workflow>G"),
        extra={"groupNodes": {"G": group}},
        **with_subgraphs(definition("S", node(5, KIND))),
    )

    assert [each.type for each in read(workflow).node_types] == [KIND]


def test_a_prompt_for_the_api_has_the_keys_of_its_nodes() -> None:
    prompt = {"9": {"class_type": KIND, "inputs": {}}, "4:2": {"class_type": KIND, "inputs": {}}}

    assert set(use(prompt).nodes) == {"9", "4:2"}


def test_only_the_first_places_are_kept_and_all_are_counted() -> None:
    found = use(graph(*(node(at, KIND) for at in range(1, 31))))

    assert found.count == 30
    assert found.nodes == tuple(str(at) for at in range(1, MOST_NODES + 1))


@pytest.mark.parametrize("mode", [MUTED, BYPASSED])
@pytest.mark.parametrize("where", ["node", "frame", "group"])
def test_a_type_of_which_no_node_runs_is_not_active(mode: int, where: str) -> None:
    inner: Json = {"nodes": [node(0, KIND)], "links": []}
    workflows = {
        "node": graph(node(1, KIND, mode=mode)),
        "frame": graph(node(1, "S", mode=mode), **with_subgraphs(definition("S", node(5, KIND)))),
        "group": graph(node(1, "workflow>G", mode=mode), extra={"groupNodes": {"G": inner}}),
    }

    assert not use(workflows[where]).active


def test_one_node_that_runs_makes_its_type_active() -> None:
    assert use(graph(node(1, KIND, mode=MUTED), node(2, KIND))).active
