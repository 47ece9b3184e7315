"""Models that a node declares and does not select."""

from __future__ import annotations

from tests.analyze.building import (
    definition,
    findings,
    from_input,
    graph,
    node,
    places,
    socket,
    with_subgraphs,
)


def test_a_declared_model_is_stale_where_links_or_the_host_select_another() -> None:
    declared = {"models": [{"name": "old.pt"}]}
    loader = node(3, "VAELoader", "old.pt", inputs=[socket("vae_name", 1)], properties=declared)
    inner = definition("S", loader, links=[from_input(1, 0, 3)], inputs=["vae_name"])
    given = node(2, "PrimitiveNode", "new.pt")

    hosted = [
        graph(node(1, "S", chosen), **with_subgraphs(inner)) for chosen in ("new.pt", "old.pt")
    ]
    linked = graph(given, loader, links=[[1, 2, 0, 3, 0, "COMBO"]])
    both = graph(node(1, "S", "new.pt"), node(2, "S", "old.pt"), **with_subgraphs(inner))

    stale = ("stale-model", "/definitions/subgraphs/0/nodes/0/properties/models/0")
    assert [places(each) for each in hosted] == [[stale], []]
    assert places(linked) == [("stale-model", "/nodes/1/properties/models/0")]
    assert places(both) == []


def test_a_declared_model_that_a_link_or_the_host_selects_is_not_stale() -> None:
    declared = {"models": [{"name": "new.pt"}]}
    loader = node(3, "VAELoader", "old.pt", inputs=[socket("vae_name", 1)], properties=declared)
    inner = definition("S", loader, links=[from_input(1, 0, 3)], inputs=["vae_name"])
    linked = graph(node(2, "PrimitiveNode", "new.pt"), loader, links=[[1, 2, 0, 3, 0, "COMBO"]])

    assert places(linked) == []
    assert places(graph(node(1, "S", "new.pt"), **with_subgraphs(inner))) == []


def test_a_model_that_nothing_selects_is_stale_in_a_subgraph_as_well() -> None:
    declared = {"models": [{"name": "new.pt"}]}
    inner = definition("S", node(3, "VAELoader", "old.pt", properties=declared))
    stale = ("stale-model", "/definitions/subgraphs/0/nodes/0/properties/models/0")

    assert places(graph(node(1, "S"), **with_subgraphs(inner))) == [stale]
    assert places(graph(node(1, "VAELoader", "x.pt"), **with_subgraphs(inner))) == [stale]


def test_a_model_that_a_widget_selects_is_not_stale() -> None:
    declared = {"models": [{"name": "a.pt", "url": "https://huggingface.co/x/a.pt"}]}

    assert findings(graph(node(1, "VAELoader", "sub\\a.pt", properties=declared))) == []
