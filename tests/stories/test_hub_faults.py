"""A hub that misbehaves: what it spoils is not placed, and what it gives in the end is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from comfywatchman.demo.hub import Hub
from tests.stories.daemon import Tree, running
from tests.stories.made import Want
from tests.stories.stage import Stage


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """As the shared one, with less patience."""
    with Hub(sizes=(200_000, 300_000)) as hub:
        tree = Tree(tmp_path_factory.mktemp("faults"), hub.url, tuple(hub.hosts))
        tree.write_settings(stall_seconds=1.0, max_retries=2, concurrency=6, per_host=6)
        with running(tree) as daemon:
            yield Stage(tree, hub, daemon)


def parts_of(stage: Stage, want: Want) -> list[Path]:
    """Return what lies beside the final name of *want*; what was put aside lies elsewhere."""
    return list((stage.tree.models / want.where).parent.glob(f".{want.name}.*"))


def test_a_connection_that_is_cut_is_taken_up_where_it_ended(stage: Stage) -> None:
    want = stage.has("cut.safetensors")
    stage.hub.fault("cut", want.name, after=100_000)
    stage.ready(stage.drop("cut.json", want))

    assert stage.is_right(want)
    retrying = stage.daemon.until("download.retrying", name=want.name)
    assert retrying["error"]["code"] == "source-unavailable"
    resumed = stage.daemon.until("download.resumed", name=want.name)
    assert resumed["offset"] == 100_000
    (asked,) = [r.range for r in stage.hub.requests if r.range and r.where == "storage"]
    assert asked == "bytes=100000-"
    assert parts_of(stage, want) == []


def test_a_transfer_that_stalls_is_broken_off_and_taken_up(stage: Stage) -> None:
    want = stage.has("stall.safetensors")
    stage.hub.fault("stall", want.name, after=100_000)
    stage.ready(stage.drop("stall.json", want))

    assert stage.is_right(want)
    assert stage.daemon.until("download.resumed", name=want.name)["offset"] == 100_000


def test_a_storage_that_ignores_the_range_is_read_from_the_beginning(stage: Stage) -> None:
    want = stage.has("no-range.safetensors")
    stage.hub.fault("cut", want.name, after=100_000)
    stage.hub.fault("no-range", want.name)
    stage.ready(stage.drop("no-range.json", want))

    assert stage.is_right(want)
    offsets = [
        line["offset"]
        for line in stage.daemon.events("download.started")
        if line["name"] == want.name
    ]
    assert offsets == [0, 0]


def test_bytes_spoiled_on_the_way_are_put_aside_and_fetched_once_more(stage: Stage) -> None:
    want = stage.has("corrupt.safetensors")
    stage.hub.fault("corrupt", want.name, after=150_000)
    stage.ready(stage.drop("corrupt.json", want))

    assert stage.is_right(want)
    line = stage.daemon.until("download.quarantined", name=want.name)
    assert line["error"]["code"] == "verification-failed"
    assert ".comfywatchman-quarantine" in line["path"]


def test_bytes_that_are_spoiled_every_time_are_never_placed(stage: Stage) -> None:
    want = stage.has("rotten.safetensors")
    stage.hub.fault("corrupt", want.name, after=150_000, times=9)
    stage.drop("rotten.json", want)
    line = stage.daemon.until("download.failed", name=want.name)

    assert line["error"]["code"] == "source-changed"
    assert line["error"]["remedy"]
    assert not (stage.tree.models / want.where).exists()
    assert stage.asked_for(want) < 9


def test_a_hub_that_publishes_a_wrong_hash_gives_nothing_a_name(stage: Stage) -> None:
    want = stage.has("lie.safetensors")
    stage.hub.fault("wrong-hash", want.name, times=9)
    stage.drop("lie.json", want)
    line = stage.daemon.until("download.failed", name=want.name)

    assert line["error"]["code"] == "source-changed"
    assert not (stage.tree.models / want.where).exists()


@pytest.mark.parametrize("times", [1, 9])
def test_a_login_page_in_place_of_a_file_is_never_placed(stage: Stage, times: int) -> None:
    want = stage.has(f"page-{times}.safetensors")
    stage.hub.fault("html", want.name, times=times)
    stage.drop(f"page-{times}.json", want)
    line = stage.daemon.until("download.failed", name=want.name)

    assert line["error"]["code"] in {"wrong-answer", "login-needed"}
    assert not (stage.tree.models / want.where).exists()
    assert parts_of(stage, want) == []


def test_an_outage_that_passes_is_waited_for(stage: Stage) -> None:
    want = stage.has("outage.safetensors")
    stage.hub.fault("status", want.name, status=503, times=2)
    stage.ready(stage.drop("outage.json", want))

    assert stage.is_right(want)
    assert stage.daemon.until("download.retrying", name=want.name)["retry_in_seconds"] > 0


def test_an_outage_of_the_hub_itself_is_waited_for(stage: Stage) -> None:
    want = stage.has("hub-outage.safetensors")
    stage.hub.fault("status", want.name, where="hub", status=503)
    stage.ready(stage.drop("hub-outage.json", want))

    assert stage.is_right(want)
    assert stage.daemon.until("search.unavailable", name=want.name)


def test_connections_that_are_dropped_without_an_answer_are_made_again(stage: Stage) -> None:
    want = stage.has("drop.safetensors")
    stage.hub.fault("drop", want.name, times=2)
    stage.ready(stage.drop("drop.json", want))

    assert stage.is_right(want)


def test_an_outage_that_lasts_is_told_once_and_asked_about_less_and_less(stage: Stage) -> None:
    want = stage.has("down.safetensors")
    stage.hub.fault("status", want.name, status=503, times=99)
    path = stage.drop("down.json", want)
    line = stage.daemon.until("download.retrying", name=want.name)
    stage.daemon.when(lambda: fetching(stage, want)["attempts"] == 3, what="three tries")
    job = fetching(stage, want)
    listed = stage.get("/api/v1/references").json()["references"]
    (row,) = (row for row in listed if row["name"] == want.name)
    pause = datetime.fromisoformat(job["not_before"]) - datetime.now(UTC)

    assert line["error"]["code"] in {"source-unavailable", "rate-limited"}
    assert row["error"] == job["error"] == line["error"]
    assert timedelta(seconds=5) < pause < timedelta(minutes=1)
    assert len([r for r in stage.hub.requests if r.status == 503 and want.name in r.path]) == 3
    told = [
        line["event"]
        for line in stage.daemon.lines
        if line.get("name") == want.name and str(line.get("event")).startswith("download.")
    ]
    assert told == ["download.retrying"]
    assert stage.lines("workflow.ready", path) == []


def fetching(stage: Stage, want: Want) -> dict[str, Any]:
    """Return the job that fetches *want*."""
    jobs = stage.get("/api/v1/jobs?limit=500").json()["jobs"]
    (found,) = (job for job in jobs if job["kind"] == "fetch" and want.name in job["key"])
    return dict(found)


def test_a_repository_that_wants_a_login_is_told_as_such(stage: Stage) -> None:
    url = "https://huggingface.co/gated/repo/resolve/main/gated.safetensors"
    stage.hub.add(url)
    stage.hub.gate("gated/repo")
    stage.drop("gated.json", Want("gated.safetensors", url=url))
    line = stage.daemon.until("reference.ambiguous", name="gated.safetensors")

    assert line["error"]["code"] == "login-needed"
    assert line["error"]["remedy"]


def test_a_repository_that_moved_is_followed(stage: Stage) -> None:
    stage.hub.add("https://huggingface.co/new/home/resolve/main/moved.safetensors")
    stage.hub.rename("old/home", "new/home")
    want = Want(
        "moved.safetensors", url="https://huggingface.co/old/home/resolve/main/moved.safetensors"
    )
    stage.ready(stage.drop("moved.json", want))

    assert stage.is_right(want)


def test_while_one_source_misbehaves_everything_else_goes_on(stage: Stage) -> None:
    stuck = stage.has("stuck.safetensors")
    stage.hub.fault("slow-start", stuck.name, seconds=3600, times=99)
    stage.drop("stuck.json", stuck)
    stage.daemon.until("reference.resolved", name=stuck.name)
    others = [stage.has(f"beside-{number}.safetensors") for number in range(5)]
    for number, want in enumerate(others):
        stage.ready(stage.drop(f"beside-{number}.json", want))

    assert all(stage.is_right(want) for want in others)
