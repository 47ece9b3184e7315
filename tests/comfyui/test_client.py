from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from comfywatchman.api.comfyui import ComfyUIClient
from comfywatchman.domain.api_errors import ComfyUIError, ConfigurationError, VRAMOverflowError
from tests.comfyui.replaying import (
    HANG_UP,
    OUT_OF_MEMORY,
    PNG,
    Frame,
    Replayed,
    failing_run,
    good_run,
    said,
)

PROMPT = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 8}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
}


@pytest.fixture
def server() -> Iterator[Replayed]:
    with Replayed() as server:
        yield server


def client_of(server: Replayed, **more: float) -> ComfyUIClient:
    return ComfyUIClient(server.url, **{"timeout": 3.0, "patience": 1.0, **more})


def test_a_run_is_followed_from_the_first_node_to_the_last(server: Replayed) -> None:
    told: list[tuple[float, str | None]] = []
    with client_of(server) as client:
        prompt_id = client.queue_workflow(PROMPT)
        result = client.monitor_execution(prompt_id, lambda *now: told.append(now))
        outputs = client.get_outputs(prompt_id)

    assert result.prompt_id == prompt_id
    assert told[-1] == (100.0, None)
    assert [percent for percent, _ in told] == sorted(percent for percent, _ in told)
    assert [(file.filename, file.size) for file in outputs] == [("x_00001_.png", len(PNG))]
    assert server.prompts[0]["client_id"] == client.client_id


def test_two_clients_have_different_names(server: Replayed) -> None:
    with client_of(server) as one, client_of(server) as other:
        assert one.client_id != other.client_id


def test_an_older_server_that_gives_prompts_other_ids_is_followed(server: Replayed) -> None:
    server.own_ids = True
    with client_of(server) as client:
        prompt_id = client.queue_workflow(PROMPT)
        client.monitor_execution(prompt_id)

    assert prompt_id.startswith("own-")


@pytest.mark.parametrize("after", range(9))
def test_a_socket_that_dies_in_any_state_loses_no_run(server: Replayed, after: int) -> None:
    def script(prompt_id: str, prompt: Any) -> Iterator[Frame]:
        for number, frame in enumerate(good_run(prompt_id, prompt)):
            if number == after:
                yield HANG_UP
            yield frame

    server.script = script
    with client_of(server) as client:
        assert client.run(PROMPT).outputs[0].filename == "x_00001_.png"


def test_without_a_socket_history_tells_the_end(server: Replayed) -> None:
    server.deaf = True
    with client_of(server, timeout=0.3) as client:
        assert client.run(PROMPT).outputs

    assert any(path.startswith("/history/") for path in server.asked)


def test_a_socket_comes_back_by_itself(server: Replayed) -> None:
    with client_of(server) as client:
        assert client.reconnect()
        server.listening.clear()
        server.hang_up()
        assert server.listening.wait(5)
        assert client.reconnect()


def test_a_prompt_whose_answer_is_lost_is_found_and_not_queued_twice(server: Replayed) -> None:
    server.lost, server.holds = 1, True
    with client_of(server) as client:
        prompt_id = client.queue_workflow(PROMPT)

    assert len(server.prompts) == 1
    assert list(server.waiting) == [prompt_id]


def test_a_prompt_that_may_have_been_queued_is_not_sent_again(server: Replayed) -> None:
    server.silent = {"/prompt"}
    with client_of(server, timeout=0.2) as client, pytest.raises(ComfyUIError) as caught:
        client.queue_workflow(PROMPT)

    assert caught.value.code == "queueing-uncertain"
    assert len(server.prompts) == 1


def test_nobody_at_the_address_is_told_and_nothing_was_queued() -> None:
    with Replayed() as server:
        url = server.url
    with ComfyUIClient(url, timeout=0.5) as client, pytest.raises(ComfyUIError) as caught:
        client.queue_workflow(PROMPT)

    assert (caught.value.code, caught.value.retryable) == ("comfyui-unavailable", True)
    assert not ComfyUIClient(url, timeout=0.5).health()


@pytest.mark.parametrize(
    "answer",
    [(200, b"<!DOCTYPE html><html>hello</html>"), (404, b"{}"), (200, b"[1]"), (200, b"{}")],
    ids=["html", "not found", "a list", "an empty object"],
)
def test_a_server_that_is_not_comfyui_is_told(server: Replayed, answer: tuple[int, bytes]) -> None:
    server.answers = dict.fromkeys(["/system_stats", "/queue", "/prompt"], answer)
    with client_of(server) as client:
        for ask in (client.get_system_stats, client.get_queue):
            with pytest.raises(ComfyUIError) as caught:
                ask()
            assert caught.value.code == "wrong-answer"
        with pytest.raises(ComfyUIError):
            client.queue_workflow(PROMPT)


def test_a_server_that_hangs_is_left_in_time(server: Replayed) -> None:
    server.silent = {"/system_stats"}
    with client_of(server, timeout=0.1) as client:
        health = client.health()

    assert not health
    assert health.error is not None
    assert health.error.code == "comfyui-unavailable"


def test_what_only_asks_is_asked_again_behind_a_proxy(server: Replayed) -> None:
    server.answers = {"/queue": (503, b"starting")}
    with client_of(server) as client, pytest.raises(ComfyUIError):
        client.get_queue()

    assert server.asked.count("/queue") == 3


def test_what_is_no_address_is_told() -> None:
    with pytest.raises(ConfigurationError, match="no address"):
        ComfyUIClient("localhost:8188")


def test_previews_of_a_hundred_megabytes_take_no_memory(server: Replayed) -> None:
    preview = b"\x00\x00\x00\x01\x00\x00\x00\x01" + bytes(5_000_000)

    def script(prompt_id: str, prompt: Any) -> Iterator[Frame]:
        yield said("execution_start", prompt_id)
        for _ in range(20):
            yield preview
        yield from good_run(prompt_id, prompt)

    server.script = script
    with client_of(server, timeout=10.0) as client:
        before = _resident()
        client.run(PROMPT)
        grown = _resident() - before

    assert grown < 60_000_000


def _resident() -> int:
    pages = Path("/proc/self/statm")
    return int(pages.read_text().split()[1]) * 4096 if pages.exists() else 0


@pytest.mark.parametrize(
    "frame", [b"", b"\x00", "no json", [1], {"type": 3}, {"type": "new thing"}]
)
def test_frames_that_are_no_messages_are_passed_over(server: Replayed, frame: Frame) -> None:
    def script(prompt_id: str, prompt: Any) -> Iterator[Frame]:
        yield frame if not isinstance(frame, dict) else {**frame, "data": None}
        yield from good_run(prompt_id, prompt)

    server.script = script
    with client_of(server) as client:
        assert client.run(PROMPT).outputs


def test_outputs_that_vanish_are_told(server: Replayed, tmp_path: Path) -> None:
    with client_of(server) as client:
        prompt_id = client.queue_workflow(PROMPT)
        result = client.monitor_execution(prompt_id)
        server.files.clear()
        with pytest.raises(ComfyUIError, match=r"x_00001_\.png") as caught:
            client.get_outputs(prompt_id)
        with pytest.raises(ComfyUIError):
            client.download_output(result.outputs[0], tmp_path / "x.png")

    assert caught.value.code == "output-missing"
    assert list(tmp_path.iterdir()) == []


def test_an_output_is_brought_whole_and_never_over_a_file(server: Replayed, tmp_path: Path) -> None:
    with client_of(server) as client:
        output = client.run(PROMPT).outputs[0]
        path = client.download_output(output, tmp_path / "x.png")
        assert path.read_bytes() == PNG
        with pytest.raises(FileExistsError):
            client.download_output(output, path)

    assert [each.name for each in tmp_path.iterdir()] == ["x.png"]


def test_a_server_that_was_started_anew_in_the_middle_lost_the_run(server: Replayed) -> None:
    def script(prompt_id: str, prompt: Any) -> Iterator[Frame]:
        yield said("execution_start", prompt_id)
        yield said("executing", prompt_id, node=next(iter(prompt)))
        yield HANG_UP

    server.script, server.holds = script, True
    with client_of(server) as client:
        prompt_id = client.queue_workflow(PROMPT)
        server.deaf = True
        ended = threading.Thread(target=server.run, args=(prompt_id,))
        ended.start()
        with pytest.raises(ComfyUIError) as caught:
            client.monitor_execution(prompt_id)
        ended.join()

    assert caught.value.code == "run-lost"
    assert len(server.prompts) == 1


def test_a_prompt_that_was_taken_out_of_the_queue_is_told(server: Replayed) -> None:
    server.holds = True
    with client_of(server) as client:
        prompt_id = client.queue_workflow(PROMPT)
        client.cancel(prompt_id)
        with pytest.raises(ComfyUIError) as caught:
            client.monitor_execution(prompt_id)

    assert caught.value.code == "run-interrupted"


def test_a_server_that_goes_away_is_waited_for_and_then_told() -> None:
    with Replayed(holds=True) as server:
        client = client_of(server, timeout=0.2, patience=0.3)
        prompt_id = client.queue_workflow(PROMPT)
    with client, pytest.raises(ComfyUIError) as caught:
        client.monitor_execution(prompt_id)

    assert caught.value.code == "comfyui-unavailable"
    assert caught.value.details.prompt_id == prompt_id


def test_time_that_is_over_ends_the_waiting_and_not_the_run(server: Replayed) -> None:
    server.holds = True
    with client_of(server) as client:
        prompt_id = client.queue_workflow(PROMPT)
        with pytest.raises(ComfyUIError, match="0 %"):
            client.monitor_execution(prompt_id, timeout=0.1)

    assert list(server.waiting) == [prompt_id]


def test_a_card_without_enough_memory_is_known_from_what_the_server_says(server: Replayed) -> None:
    server.script = failing_run(**OUT_OF_MEMORY)
    with client_of(server) as client, pytest.raises(VRAMOverflowError) as caught:
        client.run(PROMPT)

    assert caught.value.code == "vram-overflow"
    assert caught.value.details.node_type == "EmptyImage"


def test_a_picture_is_uploaded_once(server: Replayed) -> None:
    with client_of(server) as client:
        assert client.upload_image(PNG, "x.png") == "x (1).png"

    path, body = server.posted[0]
    assert path == "/upload/image"
    assert PNG in body


def test_freeing_and_interrupting_are_said_to_the_server(server: Replayed) -> None:
    with client_of(server) as client:
        client.free()
        client.interrupt("abc")

    assert server.posted == [
        ("/free", {"unload_models": True, "free_memory": True}),
        ("/interrupt", {"prompt_id": "abc"}),
    ]


def test_connections_are_kept(server: Replayed) -> None:
    with client_of(server) as client:
        for _ in range(10):
            client.get_queue()

    assert server.connections == 1


def test_one_client_follows_several_runs_at_once(server: Replayed) -> None:
    server.holds = True
    ended: list[str] = []
    with client_of(server) as client:
        queued = [client.queue_workflow(PROMPT) for _ in range(3)]
        threads = [
            threading.Thread(
                target=lambda p=each: ended.append(client.monitor_execution(p).prompt_id)
            )
            for each in queued
        ]
        for thread in threads:
            thread.start()
        for each in reversed(queued):
            server.run(each)
        for thread in threads:
            thread.join()

    assert sorted(ended) == sorted(queued)


def test_a_callback_that_raises_ends_the_waiting(server: Replayed) -> None:
    def stop(percent: float, node: str | None) -> None:
        raise RuntimeError("enough")

    with client_of(server) as client:
        prompt_id = client.queue_workflow(PROMPT)
        with pytest.raises(RuntimeError, match="enough"):
            client.monitor_execution(prompt_id, stop)


def test_a_client_that_nobody_keeps_leaves_no_thread(server: Replayed) -> None:
    client = client_of(server)
    assert client.reconnect()
    del client
    gc.collect()

    assert "comfyui-ear" not in {thread.name for thread in threading.enumerate()}
