"""Every message and error that a real server was captured saying is understood."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from comfywatchman.api.comfyui import ComfyUIClient
from comfywatchman.comfyui.client.messages import News, Run, read_news
from comfywatchman.comfyui.client.refusals import (
    failure_of,
    is_out_of_memory,
    names_a_missing_file,
    problems_of,
)
from comfywatchman.domain.api_errors import ComfyUIError
from comfywatchman.domain.run_errors import VramOverflow
from tests.comfyui.replaying import Frame, Replayed, captured, captured_sections
from tests.comfyui.serving_comfyui import CAPTURES

Json = Any

captures = pytest.mark.skipif(not CAPTURES.is_dir(), reason="needs the team's captures")
pytestmark = pytest.mark.shared

ENDS = {
    "tiny prompt EmptyImage -> SaveImage + PreviewImage": "success",
    "same prompt again: all nodes cached": "success",
    "SaveImageWebsocket: binary frames": "success",
    "default workflow with a corrupt checkpoint: execution_error": "error",
    "partly invalid prompt: accepted with node_errors": "success",
}
REFUSALS = {
    "prompt_error_missing_model.json": [("value_not_in_list", "4", "ckpt_name")],
    "prompt_error_missing_model_long_list.json": [("value_not_in_list", "4", "ckpt_name")],
    "prompt_error_several_missing_models.json": [
        ("value_not_in_list", "11", "vae_name"),
        ("value_not_in_list", "4", "ckpt_name"),
        ("value_not_in_list", "10", "lora_name"),
    ],
    "prompt_error_missing_node_type.json": [("missing_node_type", "20", "")],
    "prompt_error_missing_input_image.json": None,
    "prompt_error_required_input_missing.json": None,
    "prompt_error_no_outputs.json": [],
    "prompt_error_empty.json": [],
    "prompt_error_no_prompt.json": [],
    "prompt_error_bad_json.json": [],
    "prompt_error_ui_format_posted.json": [],
}
PROMPT = {"20": {"class_type": "FaceDetailer", "inputs": {}}}


@captures
@pytest.mark.parametrize("title", ENDS)
def test_a_captured_run_is_followed_to_its_end(title: str) -> None:
    messages = captured_sections()[title]
    prompt_id = next(m["data"]["prompt_id"] for m in messages if "prompt_id" in m["data"])
    run = Run(prompt_id, frozenset({"1", "2", "3", "4"}))
    told = []
    for message in messages:
        news = read_news(json.dumps(message))
        assert news is not None
        run.take(news)
        told.append(run.percent)

    assert run.ended == ENDS[title]
    assert told == sorted(told)
    assert run.ended != "success" or run.percent == 100.0


@captures
def test_an_interrupted_run_says_where() -> None:
    (title,) = (each for each in captured_sections() if "/interrupt" in each)
    said = [m for m in captured_sections()[title] if m["type"] == "execution_interrupted"]
    run = Run(said[0]["data"]["prompt_id"])
    run.take(News(said[0]["type"], said[0]["data"]))

    assert run.ended == "interrupted"
    assert "ImageBlur" in failure_of(run).cause


@captures
@pytest.mark.parametrize("name", REFUSALS)
def test_a_captured_refusal_names_what_is_wrong(name: str) -> None:
    exchange = captured(name)
    body = json.dumps(exchange["body"]) if "body" in exchange else exchange["body_text"]
    with (
        Replayed(answers={"/prompt": (exchange["status"], body.encode())}) as server,
        ComfyUIClient(server.url, timeout=2) as client,
        pytest.raises(ComfyUIError) as caught,
    ):
        client.queue_workflow(PROMPT)
    error, wanted = caught.value, REFUSALS[name]
    found = [(each.kind, each.node_id, each.input) for each in error.details.problems]

    assert error.code == "prompt-refused"
    assert error.remedy
    assert found == wanted if wanted is not None else found


@captures
def test_what_the_server_has_instead_is_told() -> None:
    problem = problems_of(captured("prompt_ok_partly_invalid.json")["body"])[0]

    assert problem.value == "gone.safetensors"
    assert problem.choices is not None
    assert "v1-5-pruned-emaonly.safetensors" in problem.choices


@captures
def test_a_prompt_that_is_taken_in_part_says_which_part_is_not() -> None:
    answer = captured("prompt_ok_partly_invalid.json")["body"]
    with (
        Replayed(answers={"/prompt": (200, json.dumps(answer).encode())}) as server,
        ComfyUIClient(server.url, timeout=2) as client,
    ):
        prompt_id = client.queue_workflow(PROMPT)

    assert prompt_id == answer["prompt_id"]
    assert [each.node_id for each in prompt_id.problems] == ["4"]


def _entry(name: str) -> tuple[str, Json]:
    ((prompt_id, entry),) = captured(name)["body"].items()
    return prompt_id, entry


@captures
@pytest.mark.parametrize(
    ("name", "code", "missing"),
    [
        ("history_one_error.json", "run-failed", True),
        ("history_one_interrupted.json", "run-interrupted", False),
        ("history_one_missing_model_combo_shape.json", "run-failed", True),
    ],
)
def test_a_captured_history_tells_how_a_run_ended(name: str, code: str, missing: bool) -> None:
    prompt_id, entry = _entry(name)
    run = Run(prompt_id)
    run.take_history(entry)

    assert failure_of(run).code == code
    assert names_a_missing_file(run.failure) is missing


@captures
def test_a_captured_success_has_its_files() -> None:
    prompt_id, entry = _entry("history_one_success.json")
    run = Run(prompt_id)
    run.take_history(entry)

    assert run.ended == "success"
    with Replayed(history={prompt_id: entry}) as server:
        server.files = {"tiny_00001_.png": b"x", "ComfyUI_temp_uylsc_00001_.png": b"y"}
        with ComfyUIClient(server.url, timeout=2) as client:
            files = client.get_outputs(prompt_id)
    assert {file.type for file in files} == {"temp", "output"}


@captures
def test_a_captured_run_is_replayed_over_a_socket() -> None:
    messages = captured_sections()["tiny prompt EmptyImage -> SaveImage + PreviewImage"]
    before = next(m["data"]["prompt_id"] for m in messages if "prompt_id" in m["data"])

    def script(prompt_id: str, _prompt: Json) -> Iterator[Frame]:
        for message in messages:
            yield json.loads(json.dumps(message).replace(before, prompt_id))

    prompt = {"1": {"class_type": "EmptyImage", "inputs": {}}}
    prompt |= {n: {"class_type": "SaveImage", "inputs": {}} for n in ("2", "3")}
    told: list[float] = []
    with Replayed(script) as server, ComfyUIClient(server.url, timeout=3) as client:
        client.run(prompt, lambda percent, _node: told.append(percent))

    assert told[-1] == 100.0


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("torch.OutOfMemoryError", "Allocation on device"),
        ("torch.cuda.OutOfMemoryError", "x"),
        ("RuntimeError", "CUDA out of memory. Tried to allocate 2.00 GiB"),
        ("RuntimeError", "MPS backend out of memory (MPS allocated: 9 GB)"),
        ("OOMError", ""),
    ],
)
def test_too_little_memory_is_known_by_its_names(kind: str, message: str) -> None:
    run = Run("p")
    run.take(
        News(
            "execution_error",
            {"prompt_id": "p", "exception_type": kind, "exception_message": message},
        )
    )

    assert isinstance(failure_of(run), VramOverflow)


def test_other_failures_are_not_taken_for_it() -> None:
    assert not is_out_of_memory("RuntimeError", "mat1 and mat2 shapes cannot be multiplied")
    assert not is_out_of_memory("ValueError", "the memory of the elephant")
