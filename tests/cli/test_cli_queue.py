from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from comfywatchman.cli.main import commands
from tests.comfyui.replaying import PNG, Replayed, failing_run
from tests.comfyui.serving_comfyui import node_class, v1

Json = Any

TYPES = {
    "EmptyImage": node_class(required={"width": ["INT", {}], "color": ["INT", {}]}),
    "SaveImage": node_class(required={"images": ["IMAGE"], "filename_prefix": ["STRING", {}]}),
    "CheckpointLoaderSimple": node_class(required={"ckpt_name": v1(["a"])}),
}
WORKFLOW: Json = {
    "nodes": [
        {"id": 1, "type": "EmptyImage", "widgets_values": [8, 9], "outputs": [{"type": "IMAGE"}]},
        {
            "id": 2,
            "type": "SaveImage",
            "inputs": [{"name": "images", "type": "IMAGE", "link": 1}],
            "widgets_values": ["x"],
        },
    ],
    "links": [[1, 1, 0, 2, 0, "IMAGE"]],
    "version": 0.4,
}


@pytest.fixture
def server() -> Iterator[Replayed]:
    with Replayed(object_info=dict(TYPES)) as server:
        yield server


@pytest.fixture
def workflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("COMFYWATCHMAN_STATE__DIRECTORY", str(tmp_path / "state"))
    path = tmp_path / "workflow.json"
    path.write_text(json.dumps(WORKFLOW))
    return path


def queue(server: Replayed, *words: str | Path) -> Result:
    given = ["queue", "--url", server.url, *map(str, words)]
    return CliRunner().invoke(commands, given, catch_exceptions=False)


def test_a_saved_workflow_runs_and_its_files_are_brought(
    server: Replayed, workflow: Path, tmp_path: Path
) -> None:
    ended = queue(server, workflow, "-o", tmp_path / "out")

    assert ended.exit_code == 0
    assert ended.stdout.strip() == str(tmp_path / "out/x_00001_.png")
    assert (tmp_path / "out/x_00001_.png").read_bytes() == PNG
    assert server.prompts[0]["extra_data"]["extra_pnginfo"]["workflow"] == WORKFLOW


def test_inputs_are_set_and_json_tells_all(server: Replayed, workflow: Path) -> None:
    ended = queue(
        server, workflow, "--set", "EmptyImage.color=5", "--set", "2.filename_prefix=7", "--json"
    )
    told = json.loads(ended.stdout)

    assert (ended.exit_code, told["state"], told["error"]) == (0, "done", None)
    assert told["outputs"][0]["filename"] == "x_00001_.png"
    sent = server.prompts[0]["prompt"]
    assert (sent["1"]["inputs"]["color"], sent["2"]["inputs"]["filename_prefix"]) == (5, "7")


def test_a_dry_run_prints_the_prompt_and_queues_nothing(server: Replayed, workflow: Path) -> None:
    ended = queue(server, workflow, "--dry-run")

    assert json.loads(ended.stdout)["2"]["inputs"]["images"] == ["1", 0]
    assert server.posted == []


def test_not_waiting_prints_the_id(server: Replayed, workflow: Path) -> None:
    server.holds = True
    ended = queue(server, workflow, "--no-wait")

    assert list(server.waiting) == [ended.stdout.strip()]


def test_a_failed_run_is_status_1(server: Replayed, workflow: Path) -> None:
    server.script = failing_run(exception_type="ValueError", exception_message="no such thing")
    ended = queue(server, workflow, "--json")

    assert ended.exit_code == 1
    assert json.loads(ended.stdout)["error"]["code"] == "run-failed"


def test_node_types_that_the_server_lacks_are_status_1(server: Replayed, workflow: Path) -> None:
    del server.object_info["EmptyImage"]
    ended = queue(server, workflow)

    assert ended.exit_code == 1
    assert "EmptyImage" in ended.stderr


@pytest.mark.parametrize(
    "words",
    [["--set", "1.gone=3"], ["--set", "x"], ["--set", "9.color=1"], ["--size", "big"]],
    ids=" ".join,
)
def test_options_that_fit_nothing_are_wrong_usage(
    server: Replayed, workflow: Path, words: list[str]
) -> None:
    assert queue(server, workflow, *words).exit_code == 2
    assert server.prompts == []


def test_no_server_is_status_3(workflow: Path) -> None:
    with Replayed() as server:
        pass
    ended = queue(server, workflow)

    assert ended.exit_code == 3
    assert "comfyui-unavailable" in ended.stderr


def test_a_project_is_made_panel_by_panel(server: Replayed, workflow: Path, tmp_path: Path) -> None:
    prompt = {
        "1": {"class_type": "Text", "inputs": {"text": "{prompt}"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
    }
    workflow.write_text(json.dumps(prompt))
    panels = tmp_path / "panels.json"
    panels.write_text(json.dumps({"panels": [{"prompt": "a"}, {"prompt": "b"}]}))
    ended = queue(server, workflow, "--project", panels, "-o", tmp_path / "out", "--json")
    told = json.loads(ended.stdout)

    assert (ended.exit_code, told["done"]) == (0, True)
    assert [panel["id"] for panel in told["panels"]] == ["1", "2"]
    assert [each["prompt"]["1"]["inputs"]["text"] for each in server.prompts] == ["a", "b"]


def test_its_help_has_examples() -> None:
    ended = CliRunner().invoke(commands, ["queue", "--help"])

    assert "Examples:" in ended.stdout
