from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from comfywatchman.parsing.tables import shipped_tables
from scripts.accuracy import corpus_score, read, template_files, template_score

CORPUS = Path(__file__).parents[2] / "../shared/corpus"


def test_every_official_template_is_read_exactly() -> None:
    score = template_score(shipped_tables())

    assert score.files > 600
    assert score.missed == []
    assert score.extra == []


def test_a_host_value_that_was_put_aside_by_the_editor_goes_before_the_list() -> None:
    names = _names("video_ltx2_i2v_lora.json")

    assert "ltx2-squish.safetensors" in names


def test_a_stale_copy_of_the_widget_values_by_name_is_not_believed() -> None:
    path = _template("video_wan_animate2_distilled.json")
    stale = {
        value
        for node in _every_node(json.loads(path.read_bytes()))
        for value in (node.get("widgets_values_named") or {}).values()
        if isinstance(value, str) and value.endswith(".safetensors")
        if value not in node["widgets_values"]
    }

    assert stale
    assert not stale & _names(path.name)


def test_a_stale_prompt_in_extra_is_not_read() -> None:
    assert _names("api_hunyuan3d_retopo_uv.json") == set()


def test_core_nodes_are_known_as_core() -> None:
    tables = shipped_tables()
    for path, _ in template_files():
        for use in read(path, tables).node_types:
            if use.cnr_id == "comfy-core":
                assert use.core


@pytest.mark.shared
@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus lies beside a checkout of the team")
def test_files_of_real_users_are_read_as_people_read_them() -> None:
    score = corpus_score(CORPUS, shipped_tables())

    assert score.right / (score.right + len(score.missed)) >= 0.98
    assert score.right / (score.right + len(score.extra)) >= 0.995


def _template(name: str) -> Path:
    return next(path for path, _ in template_files() if path.name == name)


def _every_node(workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from workflow["nodes"]
    for subgraph in workflow["definitions"]["subgraphs"]:
        yield from subgraph["nodes"]


def _names(template: str) -> set[str]:
    return {each.name for each in read(_template(template), shipped_tables()).references}
