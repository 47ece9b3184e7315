"""Asking a ComfyUI server, also one that lies or dawdles."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

import pytest

from comfywatchman.comfyui.asking import Inquiry, Running
from comfywatchman.domain.errors import SourceUnavailable, WatchmanError, WrongAnswer
from tests.comfyui.serving_comfyui import CAPTURES, SmallComfyUI, node_class, v1


@pytest.fixture
def server() -> Iterator[SmallComfyUI]:
    with SmallComfyUI(
        {"Fancy": node_class("custom_nodes.fancy", {"name": v1(["a.safetensors"])})},
        {"loras": ["a.safetensors"], "odd name/": []},
    ) as server:
        yield server


def looked(server: SmallComfyUI, **limits: float) -> tuple[bytes, dict[str, bytes]]:
    with Inquiry(server.url, **limits).look() as answers:
        answers.object_info.seek(0)
        return answers.object_info.read(), answers.folders


def test_a_server_that_runs_tells_its_version_and_how_it_was_started(server: SmallComfyUI) -> None:
    assert Inquiry(server.url).probe() == Running("0.3.64", ("main.py",))
    assert server.requests == ["/system_stats"]


def test_where_nothing_listens_there_is_no_server_and_no_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]

        assert Inquiry(f"http://127.0.0.1:{port}").probe() is None


def test_node_types_and_the_models_of_every_folder_are_asked_for(server: SmallComfyUI) -> None:
    object_info, folders = looked(server)

    assert set(json.loads(object_info)) == {"Fancy"}
    assert folders == {"loras": b'["a.safetensors"]', "odd name/": b"[]"}
    assert "/models/odd%20name%2F" in server.requests


@pytest.mark.shared
@pytest.mark.skipif(not CAPTURES.is_dir(), reason="the captures of the team are not here")
def test_a_server_that_answers_as_a_real_one_did_is_read() -> None:
    with SmallComfyUI.from_captures() as server:
        running = Inquiry(server.url).probe()
        object_info, folders = looked(server)

    assert running is not None
    assert running.version == "0.3.64"
    assert len(json.loads(object_info)) == 496
    assert "checkpoints" in folders


NO_COMFYUI = {
    "a page": b"<!doctype html><title>Hello</title>",
    "nothing": b"",
    "another JSON": b'{"status": "ok"}',
    "a list": b"[]",
    "a broken one": b'{"system": {"comfyui_version": "0.3',
    "another kind of version": b'{"system": {"comfyui_version": 5}}',
}


@pytest.mark.parametrize("kind", NO_COMFYUI)
def test_something_else_at_that_address_is_told(server: SmallComfyUI, kind: str) -> None:
    server.bodies["/system_stats"] = NO_COMFYUI[kind]

    with pytest.raises(WrongAnswer) as told:
        Inquiry(server.url).probe()

    assert "comfyui.url" in told.value.remedy


@pytest.mark.parametrize("status", [301, 401, 403, 404, 500])
def test_an_answer_with_another_status_is_none(server: SmallComfyUI, status: int) -> None:
    server.statuses["/system_stats"] = status

    with pytest.raises(WrongAnswer):
        Inquiry(server.url).probe()


def test_an_answer_that_is_too_large_is_broken_off(server: SmallComfyUI) -> None:
    server.bodies["/system_stats"] = b" " * 1_000_000

    with pytest.raises(WrongAnswer, match="more than"):
        Inquiry(server.url).probe()


def test_a_small_answer_that_unpacks_to_a_huge_one_is_broken_off(server: SmallComfyUI) -> None:
    server.packed = True
    server.bodies["/models/loras"] = b'["' + b"a" * 50_000_000 + b'"]'

    with pytest.raises(WrongAnswer, match="more than"):
        looked(server)


def test_a_compressed_answer_is_read(server: SmallComfyUI) -> None:
    server.packed = True

    assert set(json.loads(looked(server)[0])) == {"Fancy"}


@pytest.mark.parametrize("path", ["/models", "/models/loras", "/object_info"])
@pytest.mark.parametrize("how", ["silent", "trickle"])
def test_a_server_that_never_ends_its_answer_is_hung_up_on(
    server: SmallComfyUI, path: str, how: str
) -> None:
    getattr(server, how).add(path)
    began = time.monotonic()

    with pytest.raises(WatchmanError):
        looked(server, look_seconds=0.5)

    assert time.monotonic() - began < 5


@pytest.mark.parametrize("how", ["silent", "trickle"])
def test_a_probe_that_gets_no_whole_answer_counts_as_no_server(
    server: SmallComfyUI, how: str
) -> None:
    getattr(server, how).add("/system_stats")
    began = time.monotonic()

    assert Inquiry(server.url, probe_seconds=0.3).probe() is None
    assert time.monotonic() - began < 5


def test_folders_that_are_no_list_are_refused(server: SmallComfyUI) -> None:
    server.bodies["/models"] = b'{"loras": []}'

    with pytest.raises(WrongAnswer, match="/models"):
        looked(server)


def test_a_server_that_goes_away_between_two_questions_is_unavailable(server: SmallComfyUI) -> None:
    inquiry = Inquiry(server.url)
    server.__exit__(None, None, None)

    with pytest.raises(SourceUnavailable), inquiry.look():
        pass
    server.__enter__()
