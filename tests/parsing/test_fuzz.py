from __future__ import annotations

import json
import random
from io import BytesIO
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfywatchman.analyze.formats import Limits, read_workflow
from comfywatchman.domain.references import WorkflowContent
from comfywatchman.parsing.wire import Answer, Bounds
from scripts.fuzz import MEDIA, Outcome, run, seeds
from scripts.mutants import mutant
from tests.analyze.building import SHIPPED

NAMES = ("a.safetensors", "b.pt", "none", "On", "", "embedding:x", "<lora:y:1>", '{"a": "c.gguf"}')
TYPES = (
    "LoraLoader", "CR LoRA Stack", "Reroute", "PrimitiveNode", "SetNode", "GetNode", "A", "B",
    "workflow>G", "Power Lora Loader (rgthree)", "CLIPTextEncode", "MarkdownNote", "Unknown",
)  # fmt: skip
WIDGETS = st.sampled_from(["lora_name", "x"])
IDS = st.sampled_from([1, 2, 3, "1", "2", -10, -20, "", None])
SLOT = st.integers(-1, 2)
PLAIN = st.sampled_from([*NAMES, 1, 1.5, True, None, float("nan"), "\ud800"])
VALUE = PLAIN | st.lists(PLAIN, max_size=2) | st.dictionaries(
    st.sampled_from(["on", "lora", "content"]), PLAIN, max_size=2)  # fmt: skip


def several(each: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[list[Any]]:
    return st.lists(each, max_size=most)


def record(
    needed: dict[str, st.SearchStrategy[Any]], **more: st.SearchStrategy[Any]
) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(needed, optional=more)


SOCKET = record({"name": WIDGETS, "link": IDS}, widget=record({"name": WIDGETS}))
PROPERTIES = record(
    {},
    models=several(record({"name": st.sampled_from(NAMES)}, url=PLAIN, directory=PLAIN), 2),
    proxyWidgets=several(several(st.sampled_from(["-1", "1", "lora_name", "x"])), 2),
    proxyWidgetErrorQuarantine=VALUE,
)
NODE = record(
    {"id": IDS, "type": st.sampled_from(TYPES)},
    mode=st.sampled_from([0, 2, 4, "x"]),
    widgets_values=several(VALUE) | st.dictionaries(WIDGETS, VALUE, max_size=2),
    widgets_values_named=st.dictionaries(WIDGETS, VALUE, max_size=2),
    inputs=several(SOCKET, 2),
    properties=PROPERTIES,
)
ROW = st.tuples(IDS, IDS, SLOT, IDS, SLOT, st.just("*"))
LINK = record({"id": IDS, "origin_id": IDS, "target_id": IDS}, origin_slot=SLOT, target_slot=SLOT)
GRAPH = {"nodes": several(NODE, 4), "links": several(ROW | LINK, 4)}
DEFINITION = record(
    {"id": st.sampled_from(["A", "B", "C"]), **GRAPH}, inputs=several(record({"name": WIDGETS}), 2)
)
WORKFLOW = record(
    {"version": st.sampled_from([0.4, 1, None, "x"]), **GRAPH},
    definitions=record({"subgraphs": several(DEFINITION, 2)}),
    extra=record({"groupNodes": record({"G": record({"nodes": several(NODE, 2)})})}),
)


def checked(workflow: Any) -> WorkflowContent:
    """Read a workflow; check that the answer can be sent and that its places are there."""
    data = json.dumps(workflow).encode()
    content = read_workflow(BytesIO(data), "w.json", SHIPPED, Limits(), findings=True)
    assert content.trouble is None
    msgspec.msgpack.encode(Answer(content))
    for finding in content.findings:
        value: Any = workflow
        for step in finding.pointer.split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            value = value[int(key)] if isinstance(value, list | tuple) else value[key]
    return content


@given(WORKFLOW)
def test_whatever_the_graph_every_place_told_is_in_the_file(workflow: Any) -> None:
    checked(workflow)


@pytest.mark.trial
@settings(max_examples=20_000, deadline=None)
@given(WORKFLOW)
def test_twenty_thousand_graphs_tell_places_that_are_in_the_file(workflow: Any) -> None:
    checked(workflow)


def sound(outcome: Outcome) -> None:
    assert [what for what, _ in outcome.crashes] == []
    assert [seconds for seconds, _ in outcome.slow] == []
    assert outcome.by_child > 0
    assert outcome.child_peak < Bounds().memory


def test_damaged_files_are_answered_every_time() -> None:
    files = [path.read_bytes() for path in sorted(MEDIA.iterdir()) if path.suffix != ".md"]

    sound(run(1_500, 5, files + seeds()[len(files) : len(files) + 10]))


def test_the_same_number_makes_the_same_files() -> None:
    files = [b'{"nodes": [{"id": 1}]}', bytes(range(256))]
    first, second = random.Random(3), random.Random(3)

    assert [mutant(first, files) for _ in range(50)] == [mutant(second, files) for _ in range(50)]


@pytest.mark.trial
@pytest.mark.timeout(7200)
def test_a_hundred_thousand_damaged_files_are_answered_every_time() -> None:
    sound(run(100_000, 1, seeds()))
