from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from comfywatchman.comfyui.asking import Inquiry
from comfywatchman.comfyui.layout import read_layout
from comfywatchman.config.settings import ComfyUI, Settings, State
from comfywatchman.daemon.installation import Place
from comfywatchman.daemon.lessons import first_lessons
from comfywatchman.daemon.nodes import Nodes
from comfywatchman.daemon.server_says import FailedRuns, Heard, Placements
from comfywatchman.domain.files import Measured
from comfywatchman.domain.jobs import AnalyzeWorkflow, Cause
from comfywatchman.domain.messages import ModelPlaced
from comfywatchman.domain.references import (
    Analysis,
    Finding,
    ModelReference,
    ReferenceState,
    WorkflowContent,
)
from comfywatchman.state import workflows
from tests.comfyui.serving_comfyui import SmallComfyUI
from tests.pipeline.office import Office

RECENT = "/history?max_items=5"


@pytest.fixture
def server() -> Iterator[SmallComfyUI]:
    with SmallComfyUI(models={"loras": ["sub\\a.safetensors"]}) as server:
        yield server


def placed(path: Path, name: str, folder: str = "loras") -> ModelPlaced:
    path.touch()
    return ModelPlaced(folder, name, path, Measured(1, "0" * 64), "workflow")


def failed(*prompts: str) -> bytes:
    prompt = {"1": {"class_type": "L", "inputs": {"name": "gone.pth"}}}
    entries = {}
    for each in prompts:
        told = {"prompt_id": each, "node_id": "1", "exception_type": "FileNotFoundError"}
        status = {"status_str": "error", "messages": [["execution_error", told]]}
        entries[each] = {"prompt": [0, each, prompt, {}, []], "status": status}
    return json.dumps(entries).encode()


def test_a_placed_model_that_the_server_lists_is_asked_about_once(
    server: SmallComfyUI, tmp_path: Path
) -> None:
    placements, inquiry = Placements(), Inquiry(server.url)
    placements.add(placed(tmp_path / "a.safetensors", "sub/a.safetensors"))

    assert [*placements.check(inquiry), *placements.check(inquiry)] == []
    assert server.asked("/models/loras") == 1


def test_one_that_it_does_not_list_is_told_once_after_two_looks(
    server: SmallComfyUI, tmp_path: Path
) -> None:
    placements, inquiry = Placements(), Inquiry(server.url)
    placements.add(placed(tmp_path / "b.safetensors", "b.safetensors"))
    looks = [list(placements.check(inquiry)) for _ in range(3)]

    assert [len(look) for look in looks] == [0, 1, 0]
    assert looks[1][0].trouble.code == "name-not-listed"
    assert looks[1][0].path == tmp_path / "b.safetensors"


def test_one_that_is_gone_again_is_no_news(server: SmallComfyUI, tmp_path: Path) -> None:
    placements, inquiry = Placements(), Inquiry(server.url)
    event = placed(tmp_path / "b.safetensors", "b.safetensors")
    placements.add(event)
    event.path.unlink()

    assert [*placements.check(inquiry), *placements.check(inquiry)] == []


def test_a_folder_that_the_server_does_not_know_says_nothing(
    server: SmallComfyUI, tmp_path: Path
) -> None:
    placements, inquiry = Placements(), Inquiry(server.url)
    placements.add(placed(tmp_path / "b.safetensors", "b", "sams"))

    assert [*placements.check(inquiry), *placements.check(inquiry)] == []


@pytest.mark.parametrize(
    ("lists", "told"),
    [
        ({"diffusion_models": []}, 0),
        ({"diffusion_models": [], "unet_gguf": ["a.gguf"]}, 0),
        ({"diffusion_models": [], "unet_gguf": []}, 1),
    ],
    ids=["nobody lists such files", "a pack does", "the pack does not see it"],
)
def test_a_file_that_only_packs_list_is_looked_for_under_their_keys(
    tmp_path: Path, lists: dict[str, list[str]], told: int
) -> None:
    placements = Placements()
    placements.add(placed(tmp_path / "a.gguf", "a.gguf", "diffusion_models"))
    with SmallComfyUI(models=lists) as server:
        errors = [error for _ in range(3) for error in placements.check(Inquiry(server.url))]

    assert len(errors) == told


def test_a_run_that_failed_since_the_last_look_names_what_it_lacked_once(
    server: SmallComfyUI,
) -> None:
    runs, inquiry = FailedRuns(), Inquiry(server.url)
    told = []
    for history in (failed("old"), failed("old", "new"), failed("old", "new")):
        server.bodies[RECENT] = history
        told.append(runs.names(inquiry))

    assert told == [[], ["gone.pth"], []]


@pytest.mark.parametrize("refresh", [True, False])
def test_a_server_is_asked_once_to_look_for_what_was_placed(
    server: SmallComfyUI, tmp_path: Path, refresh: bool
) -> None:
    heard = Heard(server.url, refresh=refresh)
    heard.note(placed(tmp_path / "a.safetensors", "sub/a.safetensors"))
    heard.note(placed(tmp_path / "a.safetensors", "sub/a.safetensors"))
    told = [error for running in (False, True, True) for error in heard.errors(running=running)]

    assert told == []
    assert server.asked("/api/assets/seed") == int(refresh)


def test_where_placements_are_not_to_be_verified_no_list_is_asked_for(
    server: SmallComfyUI, tmp_path: Path
) -> None:
    heard = Heard(server.url, verify=False)
    heard.note(placed(tmp_path / "b.safetensors", "b.safetensors"))

    assert [*heard.errors(running=True), *heard.errors(running=True)] == []
    assert server.asked("/models/loras") == 0


@pytest.mark.parametrize("answer", [b"<html>", b"[]"])
def test_a_server_without_a_history_says_nothing(server: SmallComfyUI, answer: bytes) -> None:
    server.bodies[RECENT] = answer

    assert FailedRuns().names(Inquiry(server.url)) == []


@pytest.mark.parametrize("first", [True, False], ids=["the first", "a further one"])
def test_a_run_that_failed_for_want_of_a_file_has_the_workflows_read_that_name_it(
    office: Office, server: SmallComfyUI, tmp_path: Path, first: bool
) -> None:
    reference = ModelReference("vae", "gone.safetensors", "gone.safetensors", "1", "VAELoader", "v")
    content = WorkflowContent("json", "ui", references=(reference,))
    finding = Finding(reference, ReferenceState.MISSING)
    found = Analysis(Path("/wf/a.json"), "", content, findings=(finding,))
    office.keeper.write(lambda c: workflows.save(c, found, None, 1.0))
    comfyui = ComfyUI(url=server.url) if first else ComfyUI(url="", more_urls=(server.url,))
    settings = Settings(comfyui=comfyui, state=State(directory=tmp_path / "state"))
    (tmp_path / "models").mkdir()
    place = Place(tmp_path, read_layout(tmp_path), (), tmp_path)
    nodes = Nodes(settings, place, office.desk, first_lessons(settings)[0])
    nodes.look()
    prompt = {"1": {"class_type": "VAELoader", "inputs": {"v": "gone.safetensors"}}}
    said = {"prompt_id": "p", "node_id": "1", "exception_type": "FileNotFoundError"}
    status = {"status_str": "error", "messages": [["execution_error", said]]}
    history = {"p": {"prompt": [0, "p", prompt, {}, []], "status": status}}
    server.bodies[RECENT] = b"{}"
    nodes.look()
    server.bodies[RECENT] = json.dumps(history).encode()
    nodes.look()

    assert office.waiting("analyze") == [AnalyzeWorkflow(Path("/wf/a.json"), Cause.CHANGED)]
