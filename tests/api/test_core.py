"""`ComfyFixerCore`: the daemon's work, for a program."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

import pytest

import comfywatchman
from comfywatchman.demo.hub import Hub
from tests.stories.daemon import Tree
from tests.stories.made import Want, drop, has


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_run_brings_what_is_missing_and_counts_it(tree: Tree, hub: Hub) -> None:
    wants = [has(hub, "a.safetensors"), has(hub, "b.safetensors", "vae"), Want("no.safetensors")]
    path = drop(tree.base / "w.json", *wants)
    told: list[tuple[str, int, int | None]] = []

    with comfywatchman.ComfyFixerCore(tree.config) as core:
        run = core.run([path], tree.base / "out", progress_callback=lambda *news: told.append(news))

    assert (run.status, run.workflows_scanned) == ("incomplete", 1)
    assert (run.models_found, run.models_missing, run.models_resolved) == (3, 3, 2)
    counts = run.downloads
    assert (counts.planned, counts.finished, counts.failed, counts.skipped) == (2, 2, 0, 1)
    assert [m.filename for m in run.analysis.missing_models] == ["no.safetensors"]
    for want in wants[:2]:
        assert sha256(tree.models / want.where) == hub.named(want.name).sha256
        size = hub.named(want.name).size
        assert (want.name, size, size) in told
    report = json.loads((tree.base / "out/w.json.report.json").read_text())
    assert report["workflows"][0]["state"] == "blocked"
    assert json.dumps(run.to_dict())


def test_a_second_run_has_nothing_to_do(tree: Tree, hub: Hub) -> None:
    path = drop(tree.base / "w.json", has(hub, "a.safetensors"))
    core = comfywatchman.ComfyFixerCore(tree.config)
    first, second = core.run(path), core.run(path)

    assert (first.status, second.status) == ("completed", "completed")
    assert first.run_id != second.run_id
    assert (second.models_missing, second.downloads.planned) == (0, 0)


def test_without_paths_the_workflow_directories_are_looked_at(tree: Tree, hub: Hub) -> None:
    drop(tree.workflows / "w.json", has(hub, "a.safetensors"))

    assert comfywatchman.ComfyFixerCore(tree.config).run().models_resolved == 1


def test_an_analysis_tells_what_is_missing_and_what_is_here(tree: Tree, hub: Hub) -> None:
    here = has(hub, "here.safetensors")
    (tree.models / here.where).write_bytes(hub.named(here.name).read())
    path = drop(tree.base / "w.json", here, has(hub, "gone.safetensors", "vae"))

    found = comfywatchman.ComfyFixerCore(tree.config).analyze_workflows([path])

    (missing,) = found.missing_models
    assert (missing.filename, missing.expected_directory) == ("gone.safetensors", "vae")
    assert missing.expected_type == "vae"
    assert missing.widget_values == {"vae_name": "gone.safetensors"}
    assert missing.node_id == "2"
    assert missing.urls == ("https://huggingface.co/us/vae/resolve/main/gone.safetensors",)
    assert [m.path for m in found.available_models] == [tree.models / here.where]
    assert found.suggestions
    assert found.report["summary"]["missing"] == 1
    assert not found.ready
    assert json.dumps(found.to_dict())


def test_what_an_analysis_lacks_can_be_fetched_into_comfyui(tree: Tree, hub: Hub) -> None:
    path = drop(tree.base / "w.json", has(hub, "a.safetensors"), Want("no.safetensors"))
    core = comfywatchman.ComfyFixerCore(tree.config)

    results = core.download_models(core.analyze_workflows(path).missing_models)

    by_name = {result.filename: result for result in results}
    assert by_name["a.safetensors"].success
    assert by_name["a.safetensors"].save_path == tree.models / "loras/a.safetensors"
    assert by_name["a.safetensors"].verified
    assert not by_name["no.safetensors"].success
    assert by_name["no.safetensors"].error_code == "nothing-found"


def test_what_an_analysis_lacks_can_be_fetched_elsewhere(tree: Tree, hub: Hub) -> None:
    path = drop(tree.base / "w.json", has(hub, "a.safetensors"))
    core = comfywatchman.ComfyFixerCore(tree.config)
    missing = core.analyze_workflows(path).missing_models

    (result,) = core.download_models(missing, tree.base / "elsewhere")

    assert result.save_path == tree.base / "elsewhere/loras/a.safetensors"
    assert tree.placed() == {}


def test_runs_in_threads_of_one_program_wait_for_each_other(tree: Tree, hub: Hub) -> None:
    paths = [drop(tree.base / f"{n}.json", has(hub, f"{n}.safetensors")) for n in "abc"]
    core = comfywatchman.ComfyFixerCore(tree.config)

    async def all_at_once() -> list[comfywatchman.WorkflowRun]:
        return await asyncio.gather(*(asyncio.to_thread(core.run, path) for path in paths))

    assert {run.status for run in asyncio.run(all_at_once())} == {"completed"}


def test_what_a_callback_raises_reaches_the_caller(tree: Tree, hub: Hub) -> None:
    path = drop(tree.base / "w.json", has(hub, "a.safetensors"))

    def fails(*_: object) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        comfywatchman.ComfyFixerCore(tree.config).run(path, progress_callback=fails)


def test_wrong_settings_name_the_nearest_key() -> None:
    with pytest.raises(comfywatchman.ConfigurationError, match=r"download\.auto") as caught:
        comfywatchman.ComfyFixerCore({"download": {"autos": "off"}})

    assert caught.value.remedy


def test_no_comfyui_is_an_error_with_a_code(tree: Tree, tmp_path: Path) -> None:
    nowhere = {"comfyui_root": tmp_path / "nowhere", "state.directory": tmp_path / "s"}

    with pytest.raises(comfywatchman.ConfigurationError) as caught:
        comfywatchman.ComfyFixerCore(nowhere).analyze_workflows([])

    assert caught.value.code == "comfyui-not-found"
    assert isinstance(caught.value, comfywatchman.ComfyFixerError)


def test_a_state_that_somebody_else_owns_is_told(tree: Tree, hub: Hub) -> None:
    from comfywatchman.daemon.lock import owning

    path = drop(tree.base / "w.json", has(hub, "a.safetensors"))
    with owning(tree.state, "run"), pytest.raises(comfywatchman.ConfigurationError) as caught:
        comfywatchman.ComfyFixerCore(tree.config).run(path)

    assert caught.value.code == "state-locked"
