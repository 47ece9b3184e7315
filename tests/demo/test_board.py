from __future__ import annotations

from pathlib import Path

from comfywatchman.demo.board import Board, Line, told

WORKFLOW = Path("/w/a.json")
KEYS = [("vae", "a.safetensors"), ("loras", "b.safetensors")]


def about(event: str, key: tuple[str, str] = KEYS[0], **more: object) -> Line:
    return {"event": event, "folder": key[0], "name": key[1], **more}


def board(*lines: Line) -> Board:
    board = Board()
    for line in lines:
        board.take(line)
    return board


PLACED = [about("model.placed", key, path=f"/m/{key[1]}") for key in KEYS]
READY: Line = {"event": "workflow.ready", "workflow": str(WORKFLOW)}


def test_a_workflow_is_closed_when_its_models_are_placed_and_it_is_ready() -> None:
    assert not board(PLACED[0], READY).closed(WORKFLOW, KEYS)
    assert not board(*PLACED).closed(WORKFLOW, KEYS)
    assert board(*PLACED, READY).closed(WORKFLOW, KEYS)


def test_a_model_that_cannot_be_had_closes_its_workflow_with_the_reason() -> None:
    error = {"cause": "It is gone.", "remedy": "Look elsewhere.", "code": "source-missing"}
    told_so = board(PLACED[0], about("reference.unresolved", KEYS[1], error=error))

    assert told_so.closed(WORKFLOW, KEYS)
    assert told_so.failed == {KEYS[1]: "It is gone. Look elsewhere. [source-missing]"}


def test_a_model_that_comes_after_all_is_no_failure() -> None:
    assert board(about("download.failed"), PLACED[0]).failed == {}


def test_a_transfer_is_under_way_until_it_ends() -> None:
    started = about("download.started", size=7)

    assert board(started).under_way == {KEYS[0]: 7}
    assert board(started, PLACED[0]).under_way == {}
    assert board(started, about("download.failed")).under_way == {}


def test_the_address_is_known_when_the_daemon_is_ready() -> None:
    ready = board({"event": "daemon.ready", "address": "127.0.0.1:1"})

    assert (ready.is_ready, ready.address) == (True, "127.0.0.1:1")
    assert board({"event": "daemon.ready", "address": None}).address is None


def test_only_news_for_a_person_is_told() -> None:
    assert told({"event": "search.asked"}) is None
    assert told({"event": "workflow.analyzed", "cause": "arrived"}) is None
    assert told(READY) == "ready      a.json"
    assert told(about("download.started", host="h")) == "fetching   vae/a.safetensors from h"
