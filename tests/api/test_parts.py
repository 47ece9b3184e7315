"""Scanner, inventory, search, history, files: each alone."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

import comfywatchman
from comfywatchman.demo.hub import Hub
from comfywatchman.demo.weights import weights
from tests.stories.daemon import Tree
from tests.stories.made import Want, drop, has, prompt, workflow

# -- the package


def loaded_by(code: str) -> set[str]:
    """Return the modules that *code* brings into a fresh interpreter."""
    told = f"import sys; before = set(sys.modules); {code}; print(*set(sys.modules) - before)"
    line = [sys.executable, "-c", told]
    return set(subprocess.run(line, capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_package_loads_nothing_else() -> None:
    # Which is why it takes no time: 150 ms are promised, and `make bench` prints what it takes.
    assert loaded_by("import comfywatchman") == {"__future__", "comfywatchman"}


HEAVY = frozenset(
    {"alembic", "apscheduler", "asyncio", "flask", "mutagen", "prometheus_client"}
    | {"requests", "sqlalchemy", "structlog", "watchdog"}
)


def test_no_name_loads_a_library_before_it_is_used() -> None:
    names = ", ".join(sorted(set(comfywatchman.__all__) - {"__version__"}))
    loaded = loaded_by(f"from comfywatchman import {names}")

    assert "comfywatchman.api.core" in loaded
    assert not {name for name in loaded if name.split(".")[0] in HEAVY}


def test_every_public_name_can_be_used() -> None:
    for name in comfywatchman.__all__:
        assert getattr(comfywatchman, name) is not None
    assert set(comfywatchman.__all__) <= set(dir(comfywatchman))
    with pytest.raises(AttributeError, match="nothing"):
        comfywatchman.nothing  # noqa: B018 - the access is what is tested


# -- scanner


def test_a_workflow_is_scanned(tree: Tree) -> None:
    want = Want("a.safetensors", url="https://example.org/a.safetensors", sha256="a" * 64)
    flow = workflow(want, Want("v.safetensors", "vae"))
    flow["id"] = "11111111-2222-4333-8444-555555555555"
    flow["nodes"].append({"id": 7, "type": "SomebodysNode", "mode": 0})
    path = tree.base / "w.json"
    path.write_text(json.dumps(flow))
    data = comfywatchman.WorkflowScanner(tree.config).scan_workflow(path)

    assert data.path == path
    assert data.workflow_id == flow["id"]
    assert [node["id"] for node in data.nodes] == [1, 2, 7]
    assert data.custom_node_types == ("SomebodysNode",)
    first, second = data.model_references
    assert (first.filename, first.expected_directory, first.node_id) == (
        *("a.safetensors", "loras"),
        "1",
    )
    assert (first.urls, first.hash_sha256) == ((want.url,), "a" * 64)
    assert (second.expected_type, second.node_type) == ("vae", "VAELoader")
    assert data.metadata["format"] == "ui"


def test_a_prompt_and_a_text_are_scanned(tree: Tree) -> None:
    path = tree.base / "p.json"
    path.write_text(json.dumps(prompt(Want("a.safetensors"))))
    with comfywatchman.WorkflowScanner(tree.config) as scanner:
        data = scanner.scan_workflow(path)
        models = scanner.extract_models(prompt(Want("a.safetensors")))
        same = scanner.extract_models(path.read_text())

    assert [(node["id"], node["class_type"]) for node in data.nodes] == [
        ("1", "LoraLoaderModelOnly")
    ]
    assert models == same == list(data.model_references)
    assert scanner.extract_models(data) == models


def test_a_directory_is_scanned_with_or_without_those_below(tree: Tree) -> None:
    (tree.base / "flows/deep").mkdir(parents=True)
    drop(tree.base / "flows/a.json", Want("a.safetensors"))
    drop(tree.base / "flows/deep/b.json", Want("b.safetensors"))
    (tree.base / "flows/broken.json").write_text('{"nodes": [')
    (tree.base / "flows/other.json").write_text('{"some": "thing"}')
    scanner = comfywatchman.WorkflowScanner(tree.config)
    found = scanner.scan_directory(tree.base / "flows")
    flat = scanner.scan_directory(tree.base / "flows", recursive=False)

    assert [data.path.name for data in found] == ["a.json", "broken.json", "b.json"]
    assert [data.error is None for data in found] == [True, False, True]
    assert [data.path.name for data in flat] == ["a.json", "broken.json"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ('{"nodes": [', "workflow-unreadable"),
        ("", "workflow-unreadable"),
        ('{"some": "thing"}', "not-a-workflow"),
        (None, "file-unreadable"),
    ],
)
def test_what_cannot_be_scanned_is_an_error(tree: Tree, content: str | None, code: str) -> None:
    path = tree.base / "x.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(comfywatchman.WorkflowParseError) as caught:
        comfywatchman.WorkflowScanner(tree.config).scan_workflow(path)

    assert caught.value.code == code
    assert caught.value.cause
    assert caught.value.remedy


def test_a_workflow_is_validated(tree: Tree) -> None:
    scanner = comfywatchman.WorkflowScanner(tree.config)
    good = workflow(Want("a.safetensors"))
    twice = workflow(Want("a.safetensors"), Want("b.safetensors"))
    twice["nodes"][1]["id"] = 1

    assert scanner.validate_workflow(good)
    found = scanner.validate_workflow(twice)
    assert found  # a warning
    assert "duplicate-id" in {finding["code"] for finding in found.findings}
    assert not scanner.validate_workflow({"some": "thing"})
    assert not scanner.validate_workflow("{")
    assert scanner.validate_workflow(drop(tree.base / "good.json", Want("a.safetensors")))
    assert len(scanner.extract_models(tree.base / "good.json")) == 1
    with pytest.raises(comfywatchman.WorkflowParseError):
        scanner.validate_workflow(tree.base / "gone.json")


# -- inventory


def test_the_inventory_knows_what_is_here(tree: Tree) -> None:
    path = tree.models / "loras/style/a.safetensors"
    path.parent.mkdir()
    path.write_bytes(weights("a", 3000))
    (tree.models / "checkpoints/page.safetensors").write_bytes(b"<!doctype html>" * 50)
    inventory = comfywatchman.ModelInventory(tree.config)

    for name in ("a.safetensors", "style/a.safetensors", "loras/style/a.safetensors"):
        assert inventory.has_model(name)
    assert not inventory.has_model("b.safetensors")
    assert not inventory.has_model("page.safetensors")
    info = inventory.get_model_info("a.safetensors")
    assert info is not None
    assert (info.name, info.path, info.type_hint) == ("style/a.safetensors", path, "loras")
    assert info.size_bytes == 3000
    assert [m.name for m in inventory.get_models_by_type("lora")] == ["style/a.safetensors"]
    assert len(inventory) == 2


def test_the_inventory_is_refreshed_built_for_another_tree_and_exported(tree: Tree) -> None:
    inventory = comfywatchman.ModelInventory(tree.config)
    assert len(inventory) == 0
    (tree.models / "loras/a.safetensors").write_bytes(weights("a", 3000))
    assert not inventory.has_model("a.safetensors")
    assert inventory.refresh().has_model("a.safetensors")
    other = tree.base / "Other"
    (other / "models/vae").mkdir(parents=True)
    (other / "models/vae/v.safetensors").write_bytes(weights("v", 3000))

    assert [m.name for m in inventory.build(other)] == ["v.safetensors"]
    out = inventory.export_json(tree.base / "out/models.json")
    (row,) = json.loads(out.read_text())["models"]
    assert (row["name"], row["type_hint"], row["size_bytes"]) == ("v.safetensors", "vae", 3000)


def test_the_inventory_has_the_ids_of_what_was_fetched_from_civitai(tree: Tree) -> None:
    import hashlib
    import time

    from comfywatchman.disk.files import look
    from comfywatchman.domain.candidates import Candidate
    from comfywatchman.domain.files import Measured
    from comfywatchman.domain.jobs import FetchModel
    from comfywatchman.domain.messages import ModelPlaced
    from comfywatchman.pipeline.record import record
    from comfywatchman.state import jobs, store

    path = tree.models / "loras/a.safetensors"
    path.write_bytes(weights("a", 3000))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    page = "https://civitai.com/models/7?modelVersionId=34"
    source = Candidate("civitai", "https://civitai.com/api/x", "a", sha256=sha256, page=page)
    placed = ModelPlaced(
        *("loras", "a.safetensors", path),
        Measured(3000, sha256),
        "civitai",
        stamp=look(path),
    )
    keeper = store.open_keeper(tree.state)
    keeper.write(
        lambda c: jobs.enqueue(c, [FetchModel("loras", "a.safetensors", (source,))], time.time())
    )
    keeper.write(lambda c: record(c, placed, time.time()))
    keeper.close()
    info = comfywatchman.ModelInventory(tree.config).get_model_info("a.safetensors")

    assert info is not None
    assert info.hash == sha256
    assert (info.civitai_id, info.civitai_version_id) == (7, 34)


# -- search


def test_an_address_is_looked_up(tree: Tree, hub: Hub) -> None:
    want = has(hub, "a.safetensors")
    assert want.url is not None
    (found,) = comfywatchman.ModelSearch(tree.config).search(want.url, "lora")

    assert (found.filename, found.model_type) == ("a.safetensors", "loras")
    assert found.hash_sha256 == hub.named("a.safetensors").sha256
    assert (found.size_bytes, found.model_id) == (hub.named("a.safetensors").size, "us/loras")
    assert found.confidence > 0.9


def test_an_outage_of_everybody_is_an_error_and_no_empty_answer(tree: Tree, hub: Hub) -> None:
    want = has(hub, "a.safetensors")
    assert want.url is not None
    hub.fault("status", where="hub", times=99)
    with pytest.raises(comfywatchman.APISearchError) as caught:
        comfywatchman.ModelSearch(tree.config).search(want.url)

    assert caught.value.code == "source-unavailable"


def test_nothing_is_no_question(tree: Tree) -> None:
    with pytest.raises(comfywatchman.ValidationError):
        comfywatchman.ModelSearch(tree.config).search("  ")


def test_a_backend_that_nobody_has_is_refused(tree: Tree) -> None:
    with pytest.raises(comfywatchman.ConfigurationError):
        comfywatchman.ModelSearch(tree.config).search("a.safetensors", backends=["nobody"])


# -- history


def test_the_history_has_what_we_placed_and_what_programs_say(tree: Tree, hub: Hub) -> None:
    core = comfywatchman.ComfyFixerCore(tree.config)
    core.run(drop(tree.base / "w.json", has(hub, "a.safetensors")))
    core.state.record_download("b.safetensors", "civitai", 123)
    state = comfywatchman.StateManager(tree.config)

    assert [(one["filename"], one["source"]) for one in state.get_download_history()] == [
        ("a.safetensors", "workflow"),
        ("b.safetensors", "civitai"),
    ]
    assert state.is_downloaded("a.safetensors")
    assert state.is_downloaded("loras/a.safetensors")
    assert not state.is_downloaded("c.safetensors")
    out = state.export_json(tree.base / "history.json")
    assert len(json.loads(out.read_text())["downloads"]) == 2
    state.clear_history()
    assert state.get_download_history() == []
    assert (tree.models / "loras/a.safetensors").exists()
    state.record_download("d.safetensors", "somewhere")
    assert [one["filename"] for one in state.get_download_history()] == ["d.safetensors"]


# -- Civitai


def test_an_answer_about_something_else_is_refused_and_logged_with_both_ids(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert comfywatchman.validate_civitai_response({"id": 7}, 7, "models") == {"id": 7}
    with pytest.raises(comfywatchman.ValidationError) as caught:
        comfywatchman.validate_civitai_response({"id": 8}, 7, "models")

    assert (caught.value.requested, caught.value.returned) == (7, 8)
    (record,) = caplog.records
    assert "search.mismatch" in record.getMessage()
    assert "requested=7 returned=8" in record.getMessage()


@pytest.mark.parametrize("called", ["images", "image", "/api/v1/images"])
def test_a_lookup_may_be_named_by_its_path(called: str) -> None:
    found = comfywatchman.validate_civitai_response({"items": [{"id": 7}]}, 7, called)

    assert found == {"id": 7}


def test_an_image_id_that_is_none_is_refused(tree: Tree) -> None:
    with pytest.raises(comfywatchman.ValidationError):
        comfywatchman.fetch_civitai_image("../models", tree.config)


# -- files


def test_json_is_written_in_one_step_with_paths_and_times(tmp_path: Path) -> None:
    run = comfywatchman.WorkflowRun("1", "completed")
    path = comfywatchman.save_json_file(tmp_path / "deep/x.json", {"run": run, "at": tmp_path})

    assert json.loads(path.read_text())["at"] == str(tmp_path)
    assert json.loads(path.read_text())["run"]["status"] == "completed"
    assert [file.name for file in path.parent.iterdir()] == ["x.json"]
    assert comfywatchman.ensure_directory(tmp_path / "a/b").is_dir()
    assert comfywatchman.ensure_directory(tmp_path / "a/b").is_dir()


def test_a_directory_that_cannot_be_made_is_an_error_with_a_code(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(comfywatchman.ComfyFixerError) as caught:
        comfywatchman.ensure_directory(tmp_path / "file/below")

    assert caught.value.code


def test_a_logger_writes_to_the_programs_own_handlers_and_tells_no_token(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger = comfywatchman.get_logger("my.jobs", "info")
    with caplog.at_level(logging.INFO, logger="my.jobs"):
        logger.info("render.started", panel=3, url="https://x.example/m?token=abcdef0123456789")

    assert "render.started" in caplog.text
    assert "panel=3" in caplog.text
    assert "abcdef0123456789" not in caplog.text
