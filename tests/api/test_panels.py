from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from comfywatchman.api.comfyui import ComfyUIClient
from comfywatchman.api.panels import RECORD, ComfyUIIntegrationManager
from comfywatchman.domain.api_errors import (
    ComfyUIError,
    ConfigurationError,
    ValidationError,
    VRAMOverflowError,
)
from tests.comfyui.replaying import OUT_OF_MEMORY, PNG, Frame, Replayed, failing_run, good_run

Json = Any

WORKFLOW: Json = {
    "1": {"class_type": "Load", "inputs": {"name": "x"}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "old", "clip": ["1", 1]}},
    "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "bad", "clip": ["1", 1]}},
    "4": {
        "class_type": "EmptyLatentImage",
        "inputs": {"width": 512, "height": 512, "batch_size": 4},
    },
    "5": {
        "class_type": "KSampler",
        "inputs": {"seed": 1, "positive": ["2", 0], "negative": ["3", 0], "latent": ["4", 0]},
    },
    "6": {"class_type": "SaveImage", "inputs": {"images": ["5", 0]}},
}


@pytest.fixture
def server() -> Iterator[Replayed]:
    with Replayed() as server:
        yield server


@pytest.fixture
def manager(server: Replayed, tmp_path: Path) -> Iterator[ComfyUIIntegrationManager]:
    client = ComfyUIClient(server.url, timeout=3, patience=1)
    with ComfyUIIntegrationManager(WORKFLOW, client=client, output_dir=tmp_path / "out") as made:
        made.initialize()
        yield made


def sent(server: Replayed, at: int = -1) -> Json:
    return server.prompts[at]["prompt"]


def project(*prompts: str, **more: Json) -> Json:
    panels = [{"id": str(at), "prompt": text} for at, text in enumerate(prompts, 1)]
    return {"name": "P", "global_seed": 7, "panels": panels, **more}


def test_text_seed_and_size_are_put_into_a_copy(
    server: Replayed, manager: ComfyUIIntegrationManager
) -> None:
    before = json.dumps(WORKFLOW)
    made = manager.process_single_panel("a", "new", 7, resolution="1920x1080")
    prompt = sent(server)

    assert (prompt["2"]["inputs"]["text"], prompt["3"]["inputs"]["text"]) == ("new", "bad")
    assert (prompt["4"]["inputs"]["width"], prompt["4"]["inputs"]["height"]) == (1920, 1080)
    assert prompt["5"]["inputs"]["seed"] == made.seed
    assert [path.read_bytes() for path in made.files] == [PNG]
    assert json.dumps(WORKFLOW) == before


def test_a_panel_has_the_same_seed_in_every_run_and_another_than_its_neighbor(
    manager: ComfyUIIntegrationManager,
) -> None:
    seeds = [manager.process_single_panel(panel, "x", 7).seed for panel in ("a", "a", "b")]

    assert seeds[0] == seeds[1] != seeds[2]


def test_too_little_memory_is_answered_by_freeing_it_and_a_smaller_batch(
    server: Replayed, manager: ComfyUIIntegrationManager
) -> None:
    def script(prompt_id: str, prompt: Json) -> Iterator[Frame]:
        small = prompt["4"]["inputs"]["batch_size"] <= 1
        return iter((good_run if small else failing_run(**OUT_OF_MEMORY))(prompt_id, prompt))

    server.script = script
    made = manager.process_single_panel("a", "x")

    assert made.batch_size == 1
    assert [each["prompt"]["4"]["inputs"]["batch_size"] for each in server.prompts] == [4, 2, 1]
    assert [path for path, _ in server.posted].count("/free") == 2


def test_one_picture_that_is_too_much_is_told(
    server: Replayed, manager: ComfyUIIntegrationManager
) -> None:
    server.script = failing_run(**OUT_OF_MEMORY)
    with pytest.raises(VRAMOverflowError):
        manager.process_single_panel("a", "x")

    assert len(server.prompts) == 3


def test_a_project_goes_on_after_a_failed_panel_and_makes_only_that_the_next_time(
    server: Replayed, manager: ComfyUIIntegrationManager
) -> None:
    failing = failing_run(exception_type="ValueError", exception_message="no")
    bad = {"two"}

    def script(prompt_id: str, prompt: Json) -> Iterator[Frame]:
        good = prompt["2"]["inputs"]["text"] not in bad
        return iter((good_run if good else failing)(prompt_id, prompt))

    server.script = script
    told: list[tuple[float, str | None]] = []
    first = manager.process_project(project("one", "two", "three"), lambda *now: told.append(now))
    bad.clear()
    second = manager.process_project(project("one", "two", "three"))

    assert [(panel.panel_id, panel.error_code) for panel in first.failed] == [("2", "run-failed")]
    assert not first
    assert second
    assert [panel.skipped for panel in second.panels] == [True, False, True]
    assert len(server.prompts) == 4
    assert told[-1] == (100.0, None)
    assert [percent for percent, _ in told] == sorted(percent for percent, _ in told)


def test_a_panel_is_made_again_where_its_file_or_its_text_is_another_one(
    server: Replayed, manager: ComfyUIIntegrationManager
) -> None:
    made = manager.process_project(project("one", "two"))
    made.panels[0].files[0].write_bytes(b"changed")
    again = manager.process_project(project("one", "other"))

    assert [panel.skipped for panel in again.panels] == [False, False]
    assert len(server.prompts) == 4


def test_a_record_that_cannot_be_read_counts_as_none(
    server: Replayed, manager: ComfyUIIntegrationManager
) -> None:
    manager.process_project(project("one"))
    assert manager.output_dir is not None
    (manager.output_dir / RECORD).write_text("[broken")
    manager.process_project(project("one"))

    assert len(server.prompts) == 2


def test_an_output_that_is_no_picture_is_no_success(
    server: Replayed, manager: ComfyUIIntegrationManager
) -> None:
    server.files = {"x_00001_.png": b"<html>"}
    with pytest.raises(ComfyUIError) as caught:
        manager.process_single_panel("a", "x")

    assert caught.value.code == "output-missing"


def test_a_workflow_without_a_place_for_the_text_is_told(server: Replayed) -> None:
    workflow = {"1": {"class_type": "EmptyImage", "inputs": {"width": 1}}}
    manager = ComfyUIIntegrationManager(workflow, server.url)
    with manager, pytest.raises(ValidationError, match="no place"):
        manager.process_single_panel("a", "x")


def test_a_placeholder_is_where_the_text_goes(server: Replayed) -> None:
    workflow = json.loads(json.dumps(WORKFLOW))
    workflow["3"]["inputs"]["text"] = "photo of {prompt}, sharp"
    with ComfyUIIntegrationManager(workflow, server.url) as manager:
        manager.process_single_panel("a", "a cat")

    assert sent(server)["3"]["inputs"]["text"] == "photo of a cat, sharp"
    assert sent(server)["2"]["inputs"]["text"] == "old"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "panels is missing"),
        ({"panels": []}, "panels is missing"),
        ({"panels": [{}, 3]}, "panel 1: prompt is missing.*panel 2: it is no object"),
        ({"panels": [{"prompt": "x"}], "global_seed": "x"}, "global_seed"),
        ({"panels": [{"prompt": "x", "resolution": "big"}]}, "panel 1: resolution"),
        ({"panels": [{"prompt": "x", "seed": -3}]}, "panel 1: seed"),
        ({"panels": [{"id": 1, "prompt": "x"}, {"id": "1", "prompt": "y"}]}, "two panels"),
        ({"panels": [{"id": [], "prompt": "x"}]}, "panel 1: its id"),
        ([], "it is no object"),
        ({"panels": [{"prompt": "x"}], "workflow": 3}, "workflow is neither"),
    ],
)
def test_what_is_wrong_in_a_project_is_told(
    manager: ComfyUIIntegrationManager, given: Json, told: str
) -> None:
    with pytest.raises(ValidationError, match=told):
        manager.process_project(given)


def test_a_project_file_that_is_none_is_told(
    manager: ComfyUIIntegrationManager, tmp_path: Path
) -> None:
    with pytest.raises(ValidationError, match="cannot be read"):
        manager.process_project(tmp_path / "gone.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ValidationError, match="no JSON"):
        manager.process_project(tmp_path / "bad.json")


def test_panels_with_strange_names_stay_in_their_directory(
    manager: ComfyUIIntegrationManager,
) -> None:
    made = manager.process_single_panel("../../x", "y")

    assert made.files[0].parent == manager.output_dir


def test_a_size_that_is_none_is_told() -> None:
    with pytest.raises(ConfigurationError, match="no size"):
        ComfyUIIntegrationManager(WORKFLOW, resolution="large")


def test_a_server_that_is_away_is_told_at_the_beginning() -> None:
    with Replayed() as server:
        url = server.url
    manager = ComfyUIIntegrationManager(WORKFLOW, url, timeout=0.5)
    with manager, pytest.raises(ComfyUIError, match="gives no answer"):
        manager.process_project(project("one"))
