"""Workflows from other systems, and files that turn out to be others than they are called."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from comfywatchman.demo.weights import weights, weights_sha256
from tests.stories.made import Want
from tests.stories.stage import Stage


def row(stage: Stage, workflow: Path) -> Any:
    """Return the one reference of a workflow, as the API tells it."""
    listed = stage.get("/api/v1/workflows").json()["workflows"]
    (line,) = (line for line in listed if line["path"] == str(workflow))
    (found,) = stage.get(f"/api/v1/workflows/{line['id']}").json()["references"]
    return found


def hinted(stage: Stage, workflow: Path, code: str) -> bool:
    hint = row(stage, workflow)["hint"]
    return hint is not None and hint["code"] == code


def put(path: Path, seed: str, size: int = 5000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(weights(seed, size))
    return path


def test_a_workflow_from_windows_is_fetched_for_into_the_subfolder_and_only_once(
    stage: Stage,
) -> None:
    there = stage.has("from-windows.safetensors")
    want = Want(f"SDXL\\{there.name}", "loras", there.url)
    path = stage.drop("from-windows.json", want)
    stage.ready(path)
    again = stage.drop("from-windows-again.json", want)
    stage.ready(again)

    (line,) = (each for each in stage.lines("workflow.ready", again))
    assert line["select"] == [f"SDXL/{there.name}"]
    found = row(stage, again)
    assert (found["state"], found["hint"]["code"]) == ("elsewhere", "other-slash")
    assert found["path"] == str(stage.tree.models / "loras/SDXL" / there.name)
    fetched = stage.hub.fetched()
    assert sum(count.whole for key, count in fetched.items() if key.endswith(there.name)) == 1


def test_a_file_with_other_bytes_than_the_workflow_declares_is_told_once_it_is_measured(
    stage: Stage,
) -> None:
    there = stage.has("declared.safetensors")
    put(stage.tree.models / "loras" / there.name, "something else")
    path = stage.drop("declared.json", Want(there.name, "loras", there.url, "ab" * 32))
    stage.ready(path)

    stage.daemon.when(lambda: hinted(stage, path, "other-bytes"), what="the hint")
    assert row(stage, path)["state"] == "present"
    assert row(stage, path)["sha256"] == weights_sha256("something else", 5000)


def test_a_file_that_is_none_is_told_and_what_its_remedy_says_has_the_model_fetched(
    stage: Stage,
) -> None:
    there = stage.has("cut-short.safetensors")
    path = put(stage.tree.models / "loras" / there.name, "cut short")
    os.truncate(path, 4000)
    workflow = stage.drop("cut-short.json", there)
    stage.daemon.until("workflow.analyzed", workflow=workflow)
    stage.daemon.when(lambda: hinted(stage, workflow, "damaged"), what="the hint")
    assert row(stage, workflow)["state"] == "missing"
    assert stage.asked_for(there) == 0

    path.unlink()
    stage.daemon.until("model.removed", path=path)
    stage.drop("cut-short.json", there)
    stage.ready(workflow)

    assert stage.is_right(there)


def test_two_files_that_prove_to_be_different_are_ambiguous_once_they_are_measured(
    stage: Stage,
) -> None:
    name = "one-of-two.safetensors"
    for seed in ("a", "b"):
        put(stage.tree.models / "loras" / seed / name, f"one of two {seed}")
    path = stage.drop("one-of-two.json", Want(name))
    stage.daemon.until("workflow.analyzed", workflow=path)

    stage.daemon.when(lambda: row(stage, path)["state"] == "ambiguous", what="ambiguous")
    assert hinted(stage, path, "several")
    assert stage.asked_for(Want(name)) == 0
