from __future__ import annotations

from typing import Any

import pytest

from comfywatchman.domain.errors import WorkflowTooLarge
from tests.comfyui.building_workflows import converted, graph, inputs, node

Json = Any


def inner_link(number: int, origin: int, slot: int, target: int, target_slot: int) -> Json:
    keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot")
    return dict(zip(keys, (number, origin, slot, target, target_slot), strict=True))


SAMPLER = {
    "id": "S",
    "inputs": [{"name": "model", "type": "MODEL"}, {"name": "steps", "type": "INT"}],
    "outputs": [{"name": "LATENT", "type": "LATENT"}],
    "nodes": [
        node(
            7,
            "Sample",
            5,
            "fixed",
            6,
            ins=[("model", "MODEL", 1), ("steps", "INT", 2, "steps")],
        )
    ],
    "links": [
        inner_link(1, -10, 0, 7, 0),
        inner_link(2, -10, 1, 7, 1),
        inner_link(3, 7, 0, -20, 0),
    ],
}


def with_subgraph(*hosts: Json, definitions: Json = (SAMPLER,), **more: Json) -> Json:
    load = node(1, "Load", "a.safetensors")
    return graph(load, *hosts, definitions={"subgraphs": list(definitions)}, **more)


def test_every_instance_of_a_subgraph_is_opened_under_its_own_path() -> None:
    workflow = with_subgraph(
        node(2, "S", ins=[("model", "MODEL", 1)]),
        node(3, "S", 40, ins=[("model", "MODEL", 2)]),
        node(4, "SaveImage", "x", ins=[("images", "LATENT", 3)]),
        links=[(1, 1, 0, 2, 0), (2, 1, 0, 3, 0), (3, 3, 0, 4, 0)],
    )
    prompt = converted(workflow).prompt

    assert list(prompt) == ["1", "2:7", "3:7", "4"]
    assert prompt["2:7"]["inputs"] == {"seed": 5, "steps": 6, "model": ["1", 0]}
    assert prompt["3:7"]["inputs"]["steps"] == 40
    assert prompt["4"]["inputs"]["images"] == ["3:7", 0]


def test_a_value_that_an_older_instance_shows_without_an_input_counts() -> None:
    host = node(
        2, "S", 77, ins=[("model", "MODEL", 1)], properties={"proxyWidgets": [["7", "seed"]]}
    )
    workflow = with_subgraph(host, links=[(1, 1, 0, 2, 0)])

    assert inputs(workflow, "2:7")["seed"] == 77


def test_a_link_to_a_subgraphs_widget_counts_more_than_its_values() -> None:
    workflow = with_subgraph(
        node(2, "S", 40, ins=[("steps", "INT", 1, "steps")]),
        node(3, "Int", 5),
        links=[(1, 3, 0, 2, 1)],
    )

    assert inputs(workflow, "2:7")["steps"] == ["3", 0]


@pytest.mark.parametrize("mode", [2, 4])
def test_nothing_inside_an_instance_that_is_off_is_sent(mode: int) -> None:
    workflow = with_subgraph(
        node(2, "S", mode=mode, ins=[("model", "MODEL", 1)]), links=[(1, 1, 0, 2, 0)]
    )

    assert list(converted(workflow).prompt) == ["1"]


def outer(*, mode: int = 0) -> Json:
    return {
        "id": "O",
        "inputs": [{"name": "m", "type": "MODEL"}, {"name": "n", "type": "INT"}],
        "outputs": [{"name": "LATENT", "type": "LATENT"}],
        "nodes": [
            node(9, "S", ins=[("model", "MODEL", 1), ("steps", "INT", 2, "steps")], mode=mode)
        ],
        "links": [
            inner_link(1, -10, 0, 9, 0),
            inner_link(2, -10, 1, 9, 1),
            inner_link(3, 9, 0, -20, 0),
        ],
    }


def test_subgraphs_in_subgraphs_are_opened_and_values_come_from_the_outermost() -> None:
    workflow = with_subgraph(
        node(2, "O", 33, ins=[("m", "MODEL", 1)]),
        node(4, "SaveImage", "x", ins=[("images", "LATENT", 2)]),
        definitions=(SAMPLER, outer()),
        links=[(1, 1, 0, 2, 0), (2, 2, 0, 4, 0)],
    )
    prompt = converted(workflow).prompt

    assert prompt["2:9:7"]["inputs"] == {"seed": 5, "steps": 33, "model": ["1", 0]}
    assert prompt["4"]["inputs"]["images"] == ["2:9:7", 0]


def test_an_instance_that_is_off_inside_another_is_not_sent() -> None:
    workflow = with_subgraph(
        node(2, "O", 33, ins=[("m", "MODEL", 1)]),
        definitions=(SAMPLER, outer(mode=2)),
        links=[(1, 1, 0, 2, 0)],
    )

    assert list(converted(workflow).prompt) == ["1"]


def test_subgraphs_that_hold_themselves_end() -> None:
    ring = {"id": "R", "nodes": [node(1, "R")], "links": []}

    assert list(converted(with_subgraph(node(2, "R"), definitions=(ring,))).prompt) == ["1"]


def test_subgraphs_that_multiply_are_refused() -> None:
    several = [
        {"id": f"D{at}", "nodes": [node(n, f"D{at + 1}") for n in range(10)], "links": []}
        for at in range(9)
    ]
    with pytest.raises(WorkflowTooLarge):
        converted(with_subgraph(node(2, "D0"), definitions=several))


def test_a_group_node_is_opened_with_its_own_values() -> None:
    group = {
        "nodes": [
            node(0, "Text", "old", ins=[("clip", "CLIP", None)]),
            node(
                0, "Sample", 1, "fixed", 2, ins=[("model", "MODEL", None), ("cond", "COND", None)]
            ),
        ],
        "links": [[0, 0, 1, 1, 0, "COND"]],
        "external": [],
    }
    workflow = graph(
        node(1, "Load", "a.safetensors"),
        node(
            5, "workflow>G", "new", 8, "fixed", 9,
            ins=[("clip", "CLIP", 1), ("model", "MODEL", 2)],
        ),
        node(6, "SaveImage", "x", ins=[("images", "LATENT", 3)]),
        links=[(1, 1, 1, 5, 0), (2, 1, 0, 5, 1), (3, 5, 0, 6, 0)],
        extra={"groupNodes": {"G": group}},
    )  # fmt: skip
    prompt = converted(workflow).prompt

    assert prompt["5:0"]["inputs"] == {"text": "new", "clip": ["1", 1]}
    assert prompt["5:1"]["inputs"] == {"seed": 8, "steps": 9, "model": ["1", 0], "cond": ["5:0", 0]}
    assert prompt["6"]["inputs"]["images"] == ["5:1", 0]
