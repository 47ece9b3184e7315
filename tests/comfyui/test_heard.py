from __future__ import annotations

import json
from typing import Any

import pytest

from comfywatchman.comfyui.heard import FailedRun, ended_runs

Json = Any
PROMPT = {
    "1": {"class_type": "Upscale", "inputs": {"model_name": "sub\\gone.pth", "x": ["2", 0]}},
    "2": {"class_type": "VAELoader", "inputs": {"vae_name": "v.safetensors"}},
}


def history(node: str = "1", kind: str = "FileNotFoundError", message: str = "") -> bytes:
    told = {"prompt_id": "p", "node_id": node, "exception_type": kind, "exception_message": message}
    status = {"status_str": "error", "messages": [["execution_error", told]]}
    return json.dumps({"p": {"prompt": [0, "p", PROMPT, {}, []], "status": status}}).encode()


def test_a_run_that_lacked_a_file_names_what_its_node_names() -> None:
    assert ended_runs(history()) == [FailedRun("p", ("gone.pth",))]


def test_where_the_node_names_none_all_of_the_prompt_are_named() -> None:
    assert ended_runs(history(node="9"))[0].names == ("gone.pth", "v.safetensors")


@pytest.mark.parametrize(
    "message",
    ["Model in folder 'upscale_models' with filename 'gone.pth' not found.", "header too large"],
)
def test_a_lacking_or_damaged_file_is_known_by_the_message(message: str) -> None:
    assert ended_runs(history(kind="Exception", message=message))


def test_other_failures_are_of_no_concern() -> None:
    assert ended_runs(history(kind="ValueError", message="shapes do not fit")) == []


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b"3", b""])
def test_what_is_no_history_is_told(answer: bytes) -> None:
    with pytest.raises(ValueError, match="no history"):
        ended_runs(answer)


@pytest.mark.parametrize("entry", [3, {}, {"status": 1}, {"status": {"messages": [1, [2, 3]]}}])
def test_entries_of_unexpected_kinds_are_passed_over(entry: Json) -> None:
    assert ended_runs(json.dumps({"p": entry}).encode()) == []
