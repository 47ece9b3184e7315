"""Graphs made to keep the reader busy: each is read or refused at once, whatever its size.

What takes hours where a list is searched again for every element, or where every path through
subgraphs is walked, ends here by the limit on the time of a test.
"""

from __future__ import annotations

import json

import pytest

from comfywatchman.analyze.limits import Limits
from tests.analyze.building import (
    Json,
    definition,
    from_input,
    graph,
    node,
    read_bytes,
    socket,
    with_subgraphs,
)

LORA = "LoraLoader"


def verdict(workflow: object) -> str:
    """Return the code of the trouble, or the names that were found."""
    content = read_bytes(json.dumps(workflow).encode())
    if content.trouble is not None:
        return content.trouble.code
    return " ".join(sorted({each.name for each in content.references}))


def chained(definitions: int, *names: str) -> Json:
    """Subgraphs of which each contains the next, once for each name."""
    inside = [
        definition(f"D{at}", *(node(n, f"D{at + 1}") for n, _ in enumerate(names)))
        for at in range(definitions)
    ]
    last = definition(f"D{definitions}", node(1, LORA, "a.pt"))
    return graph(node(1, "D0"), **with_subgraphs(*inside, last))


def test_subgraphs_that_double_at_every_level_are_refused() -> None:
    assert verdict(chained(30, "left", "right")) == "workflow-too-large"


def test_empty_subgraphs_that_double_at_every_level_are_refused() -> None:
    doubling = chained(30, "left", "right")
    doubling["definitions"]["subgraphs"][-1]["nodes"] = []

    assert verdict(doubling) == "workflow-too-large"


def test_subgraphs_in_subgraphs_beyond_reason_are_refused() -> None:
    assert verdict(chained(10, "only")) == "a.pt"
    assert verdict(chained(10_000, "only")) == "workflow-too-large"


def test_subgraphs_that_all_contain_each_other_are_refused() -> None:
    count = 20
    nest = [definition(f"D{at}", *(node(n, f"D{n}") for n in range(count))) for at in range(count)]

    assert verdict(graph(node(1, "D0"), **with_subgraphs(*nest))) == "workflow-too-large"


@pytest.mark.parametrize(
    "inside",
    [
        node(1, "X", *["embedding: " * 10_000] * 3),
        node(1, "X", [[]] * 100_000),
        node(1, "Note", "x" * 1_000_000),
        node(1, "X", "a.pt", properties={"models": [{"name": "a.pt"}] * 10_000}),
        node(1, "X", "a.pt", inputs=[socket("x", 1)] * 10_000),
    ],
    ids=["texts", "lists", "notes", "declarations", "sockets"],
)
def test_large_nodes_in_a_subgraph_that_is_used_often_are_refused(inside: Json) -> None:
    used = [node(at, "S") for at in range(20_000)]
    group = {"groupNodes": {"G": {"nodes": [inside]}}}

    for workflow in (
        graph(*used, **with_subgraphs(definition("S", inside))),
        graph(*(node(at, "workflow>G") for at in range(20_000)), extra=group),
    ):
        assert verdict(workflow) == "workflow-too-large"


def test_group_nodes_that_multiply_are_refused() -> None:
    big = {"nodes": [{"type": LORA, "widgets_values": ["a.pt"]}] * 10_000}
    many = graph(*(node(at, "workflow>G") for at in range(100)), extra={"groupNodes": {"G": big}})
    doubling = {f"G{at}": {"nodes": [{"type": f"workflow>G{at + 1}"}] * 2} for at in range(40)}
    nested = graph(node(1, "workflow>G0"), extra={"groupNodes": doubling})

    assert (verdict(many), verdict(nested)) == ("workflow-too-large", "workflow-too-large")


def test_a_group_node_in_a_group_node_is_opened_and_one_in_itself_is_not() -> None:
    inner = {"nodes": [{"type": LORA, "widgets_values": ["a.pt"]}, {"type": "workflow>outer"}]}
    outer = {"nodes": [{"type": "workflow/inner"}, {"type": "workflow>outer"}]}
    groups = {"groupNodes": {"inner": inner, "outer": outer}}

    assert verdict(graph(node(1, "workflow>outer"), extra=groups)) == "a.pt"


def ends_of_a_chain(made: str, count: int = 4_000) -> Json:
    """A chain of nodes that pass something on, and a loader at every one of them."""
    chain: list[Json] = []
    links: list[list[object]] = []
    for at in range(count):
        arriving = [{"name": "x", "type": "*", "link": at}]
        chain.append(node(at, made, *([f"k{at}"] if "Node" in made else []), inputs=arriving))
        chain.append(node(count + at, LORA, "a.pt", inputs=[socket("lora_name", count + at)]))
        links += [[at, at - 1, 0, at, 0, "*"], [count + at, at, 0, count + at, 0, "*"]]
    passing = definition(
        "Pass", links=[{**from_input(1, 0, -20), "target_id": -20}], inputs=["x"]
    )  # fmt: skip
    return graph(*chain, links=links, **with_subgraphs(passing))


@pytest.mark.parametrize("made", ["Reroute", "Pass", "Unknown"])
def test_chains_of_links_are_followed_so_far_and_no_farther(made: str) -> None:
    assert verdict(ends_of_a_chain(made)) == "workflow-too-large"
    assert verdict(ends_of_a_chain(made, 50)).strip() in {"", "a.pt"}


def test_links_in_a_circle_end() -> None:
    one = node(1, "Reroute", inputs=[{"name": "", "link": 2}])
    two = node(2, "Reroute", inputs=[{"name": "", "link": 1}])
    loader = node(3, LORA, "a.pt", inputs=[socket("lora_name", 3)])
    links = [[1, 1, 0, 2, 0, "*"], [2, 2, 0, 1, 0, "*"], [3, 2, 0, 3, 0, "*"]]

    assert verdict(graph(one, two, loader, links=links)) == ""  # computed, as far as anybody knows


def test_setters_and_getters_in_a_circle_end() -> None:
    setter = node(1, "SetNode", "k", inputs=[{"name": "", "link": 1}])
    loader = node(3, LORA, "a.pt", inputs=[socket("lora_name", 2)])
    links = [[1, 2, 0, 1, 0, "*"], [2, 2, 0, 3, 0, "*"]]

    assert verdict(graph(setter, node(2, "GetNode", "k"), loader, links=links)) == ""


def wide(count: int, *, proxies: bool) -> Json:
    """A subgraph whose instance gives a value to each of its many loaders."""
    inner = [node(at, LORA, "a.pt", inputs=[socket("lora_name", at)]) for at in range(count)]
    names = [f"x{at}" for at in range(count)]
    links = [from_input(at, at, at) for at in range(count)]
    entries = [[str(at), "lora_name"] for at in range(count)]
    host = node(
        1, "A", *["b.pt"] * count,
        inputs=[socket(name, None) for name in names],
        properties={"proxyWidgets": entries} if proxies else {},
    )  # fmt: skip
    return graph(host, **with_subgraphs(definition("A", *inner, links=links, inputs=names)))


@pytest.mark.parametrize("proxies", [True, False])
def test_an_instance_with_many_values_is_read_or_refused(proxies: bool) -> None:
    assert verdict(wide(100, proxies=proxies)) == "b.pt"
    assert verdict(wide(6_000, proxies=proxies)) == "workflow-too-large"


def test_a_node_with_many_sockets_and_many_names_is_refused() -> None:
    count = 18_000
    sockets = [socket(f"w{at}", None) for at in range(count)]

    assert verdict(graph(node(1, "X", *(f"{at}.pt" for at in range(count)), inputs=sockets))) == (
        "workflow-too-large"
    )


def test_many_nodes_that_ask_one_with_many_names_are_refused() -> None:
    chooser = node(1, "Chooser", *(f"{at}.pt" for at in range(5_000)))
    asking = [node(at, LORA, inputs=[socket("lora_name", at)]) for at in range(2, 5_000)]
    links = [[at, 1, 0, at, 0, "*"] for at in range(2, 5_000)]

    assert verdict(graph(chooser, *asking, links=links)) == "workflow-too-large"


def test_a_hundred_thousand_links_to_one_node_are_read() -> None:
    loader = node(1, LORA, "a.pt", inputs=[socket("lora_name", None)])
    links = [[at, 2, 0, 1, 0, "*"] for at in range(100_000)]

    assert verdict(graph(loader, node(2, "X"), links=links)) == "a.pt"


def test_a_million_values_are_read() -> None:
    assert verdict(graph(node(1, LORA, "a.pt", *[1e308, -1e308] * 500_000))) == "a.pt"


def test_names_too_long_for_any_file_are_none() -> None:
    long = "a" * 1_000_000 + ".pt"

    assert verdict(graph(node(1, LORA, long), node(2, "X", long), node(3, LORA, "a.pt"))) == "a.pt"


def test_long_ids_and_types_do_not_multiply() -> None:
    huge = "9" * 1_000_000
    inner = [node(at, "Download" * 100_000, f"{at}.pt") for at in range(20)]
    content = read_bytes(
        json.dumps(graph(node(huge, "S"), **with_subgraphs(definition("S", *inner)))).encode()
    )

    assert len(content.references) == 20
    assert max(len(each.node) + len(each.node_type) for each in content.references) < 400


def test_an_answer_much_larger_than_its_file_is_refused() -> None:
    models = [{"name": "a.pt", "url": f"https://x/{at}" + "u" * 4000} for at in range(20)]
    loader = node(1, "X", *(f"{at}/a.pt" for at in range(9_000)), properties={"models": models})

    assert verdict(graph(loader)) == "workflow-too-large"


def test_many_nodes_are_a_limit_of_the_settings() -> None:
    several = [json.dumps(each).encode() for each in (
        graph(*(node(at, "X") for at in range(11))),
        {str(at): {"class_type": "X", "inputs": {}} for at in range(11)},
        [[at, "id", {"1": {"class_type": "X", "inputs": {}}}, {}, []] for at in range(11)],
    )]  # fmt: skip

    for data in several:
        few, enough = (read_bytes(data, limits=Limits(max_nodes=most)) for most in (10, 11))

        assert few.trouble is not None
        assert (few.trouble.code, enough.trouble) == ("workflow-too-large", None)
        assert "10" in few.trouble.cause


def test_a_prompt_whose_links_form_a_long_chain_is_refused() -> None:
    count = 4_000
    chain = {
        str(at): {"class_type": "PrimitiveString", "inputs": {"value": [str(at - 1), 0]}}
        for at in range(count)
    }
    loaders = {
        str(count + at): {"class_type": LORA, "inputs": {"lora_name": [str(at), 0]}}
        for at in range(count)
    }

    assert verdict(chain | loaders) == "workflow-too-large"


def test_a_node_in_a_subgraph_that_names_many_models_is_refused() -> None:
    many = (f"m{number}.safetensors" for number in range(30_000))
    inner = definition("S", node(2, "Unheard Of", *many))

    assert verdict(graph(node(1, "S"), **with_subgraphs(inner))) == "workflow-too-large"
