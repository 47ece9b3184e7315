from __future__ import annotations

from collections import Counter

import pytest

from comfywatchman.analyze.loaders import read_tables
from comfywatchman.domain.references import Lookup
from comfywatchman.parsing.tables import shipped_tables
from tests.analyze.building import graph, named, node, references


def test_every_shipped_line_can_be_read() -> None:
    rules = shipped_tables().rules

    assert sum(len(rules[node_type]) for node_type in rules) > 1_000


def test_no_shipped_line_is_there_twice() -> None:
    rules = shipped_tables().rules
    places = Counter(
        (node_type, rule.spot, rule.kind) for node_type in rules for rule in rules[node_type]
    )

    assert [place for place, number in places.items() if number > 1] == []


def test_a_line_can_stand_for_all_types_that_begin_alike() -> None:
    tables = read_tables("Cloud* -> ignore\nCloudLoader -> vae 0:x", "")

    assert tables.rules_of("CloudSampler") == ()
    assert [rule.folders for rule in tables.rules_of("CloudLoader") or ()] == [("vae",)]
    assert tables.rules_of("Sampler") is None


def test_a_widget_whose_file_the_node_chooses_when_it_runs_is_dynamic() -> None:
    (found,) = references(graph(node(1, "Mine", {"index": 1})), "Mine -> loras cycle dynamic")

    assert (found.folder, found.lookup) == ("loras", Lookup.DYNAMIC)


def test_a_widget_that_is_not_read_as_a_file_names_none() -> None:
    workflow = graph(node(1, "Mine", "a.safetensors", "b.safetensors"))

    assert named(workflow, "Mine -> loras 0:x", "Mine -> - 1:y unread") == [
        ("loras", "a.safetensors")
    ]


def test_a_value_at_no_known_place_of_a_node_that_fetches_is_fetched() -> None:
    (found,) = references(graph(node(1, "Mine", 0, "a.pth")), "Mine -> - 0:x auto")

    assert found.lookup is Lookup.AUTODOWNLOAD


@pytest.mark.parametrize("value", ["part_by_part", "Part by part"])
def test_a_condition_may_mean_a_value_with_a_space_or_with_a_line(value: str) -> None:
    line = "Mine -> loras 1:x unless=0:mode=part_by_part"

    assert named(graph(node(1, "Mine", value, "a.pt")), line) == []
    assert named(graph(node(1, "Mine", "whole", "a.pt")), line) == [("loras", "a.pt")]


@pytest.mark.parametrize(
    ("mode", "names"), [(True, ["typed", "of last time"]), ("populate", ["typed", "of last time"]),
                        (False, ["of last time"]), ("fixed", ["of last time"])],
)  # fmt: skip
def test_the_text_that_a_wildcard_node_is_about_to_fill_in_counts_while_it_does(
    mode: object, names: list[str]
) -> None:
    texts = ("a cat <lora:typed:1>", "a cat <lora:of last time:1>", mode)
    impact = graph(node(1, "ImpactWildcardEncode", *texts, "Select the LoRA", "Select", 0))
    inspire = graph(node(1, "WildcardEncode //Inspire", "none", "comfy++", *texts, "Select", "", 0))

    assert [name for _, name in named(impact)] == names
    assert [name for _, name in named(inspire)] == names
