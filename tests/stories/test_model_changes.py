"""Models come and go by other hands than ours."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from comfywatchman.demo.hub import Hub
from comfywatchman.demo.weights import weights, weights_sha256
from tests.stories.daemon import Tree, running
from tests.stories.made import Want, drop, has
from tests.stories.stage import SHORT_REST, Stage


def lora(stage: Stage, name: str) -> Path:
    return stage.tree.models / "loras" / name


def put(path: Path, size: int = 5000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(weights(path.name, size))
    return path


def test_a_model_dropped_by_hand_makes_the_workflow_that_waits_for_it_ready(
    stage: Stage,
) -> None:
    want = Want("by-hand.safetensors")
    path = stage.drop("by-hand.json", want)
    stage.daemon.until("reference.unresolved", name=want.name)
    put(lora(stage, want.name))
    stage.ready(path)
    indexed = stage.daemon.until("model.indexed", name=want.name)

    assert indexed["sha256"] == weights_sha256(want.name, 5000)
    assert stage.asked_for(want) == 0


def test_a_model_that_is_copied_in_slowly_is_not_fetched_a_second_time(stage: Stage) -> None:
    want = stage.has("slow-copy.safetensors")
    content = stage.hub.named(want.name).read()
    final = lora(stage, want.name)
    with final.open("wb") as file:
        file.write(content[:10_000])
        file.flush()
        path = stage.drop("slow-copy.json", want)
        stage.daemon.until("workflow.analyzed", workflow=path)
        stage.lets_time_pass("beside-the-slow-copy.json")
        (analyzed,) = stage.lines("workflow.analyzed", path)
        assert analyzed["missing"] == 1
        file.write(content[10_000:])
    stage.ready(path)

    assert stage.asked_for(want) == 0
    assert final.read_bytes() == content


def test_a_model_that_stays_cut_short_keeps_its_workflow_waiting(stage: Stage) -> None:
    want = Want("cut-short.safetensors")
    content = weights(want.name, 5000)
    lora(stage, want.name).write_bytes(content[:3000])
    path = stage.drop("cut-short.json", want)
    stage.daemon.until("workflow.analyzed", workflow=path)
    stage.lets_time_pass("beside-the-cut-short.json")
    assert stage.lines("workflow.ready", path) == []

    with lora(stage, want.name).open("ab") as file:
        file.write(content[3000:])
    stage.ready(path)


def test_a_model_that_somebody_removes_is_told_and_not_fetched_again(stage: Stage) -> None:
    want = stage.has("removed.safetensors")
    path = stage.drop("removed.json", want)
    stage.ready(path)
    asked = stage.asked_for(want)
    lora(stage, want.name).unlink()
    stage.daemon.until("model.removed", path=lora(stage, want.name))
    stage.daemon.until("workflow.analyzed", workflow=path, state="blocked", cause="removed")
    stage.lets_time_pass("beside-the-removed.json")

    assert stage.asked_for(want) == asked
    assert not lora(stage, want.name).exists()
    lines = stage.get("/api/v1/workflows").json()["workflows"]
    (number,) = (line["id"] for line in lines if line["path"] == str(path))
    (row,) = stage.get(f"/api/v1/workflows/{number}").json()["references"]
    assert row["hint"]["code"] == "taken-away"
    stage.drop("removed.json", want, Want("edited.pt"))  # but an edit asks for it again
    stage.daemon.when(lambda: lora(stage, want.name).exists())


def test_a_model_removed_from_a_workflow_that_gets_another_is_not_fetched_again(
    stage: Stage,
) -> None:
    mine, other = stage.has("never-asked-for.safetensors"), Want("comes-later.safetensors")
    put(lora(stage, mine.name))
    stage.daemon.until("model.indexed", name=mine.name)
    path = stage.drop("two-of-mine.json", mine, other)
    stage.daemon.until("reference.unresolved", name=other.name)
    lora(stage, mine.name).unlink()
    stage.daemon.until("workflow.analyzed", workflow=path, cause="removed")
    put(lora(stage, other.name))
    stage.daemon.when(lambda: arrivals(stage, path), what="an analysis for the other model")
    stage.lets_time_pass("beside-two-of-mine.json")

    assert stage.asked_for(mine) == 0


def arrivals(stage: Stage, path: Path) -> bool:
    lines = stage.lines("workflow.analyzed", path)
    return any(line["cause"] == "arrived" and line["missing"] == 1 for line in lines)


def test_a_renamed_model_is_told_as_moved_and_not_read_again(stage: Stage) -> None:
    before, after = lora(stage, "before.safetensors"), stage.tree.models / "vae/after.safetensors"
    after.parent.mkdir(exist_ok=True)  # of a rename to a directory that is new only half is heard
    put(before)
    stage.daemon.until("model.indexed", path=before)
    path = stage.drop("renamed.json", Want("after.safetensors", "vae"))
    stage.daemon.until("reference.unresolved", name="after.safetensors")
    before.rename(after)
    stage.daemon.until("model.moved", path=after, before=str(before))
    stage.ready(path)

    assert [m for m in stage.daemon.events("model.indexed") if m["path"] == str(after)] == []
    assert [m for m in stage.daemon.events("model.removed") if m["path"] == str(before)] == []


def test_a_directory_that_is_removed_does_not_take_its_neighbors_along(stage: Stage) -> None:
    inside = put(lora(stage, "flux/a.safetensors"))
    beside = [put(lora(stage, name)) for name in ("flux.safetensors", "flux-dev.safetensors")]
    for each in (inside, *beside):
        stage.daemon.until("model.indexed", path=each)
    path = stage.drop("neighbors.json", Want("flux.safetensors"), Want("flux-dev.safetensors"))
    stage.ready(path, references=2)
    shutil.rmtree(inside.parent)
    stage.daemon.until("model.removed", path=inside)
    stage.lets_time_pass("beside-neighbors.json")
    known = {row["path"] for row in stage.get("/api/v1/models?limit=1000").json()["models"]}

    assert {str(each) for each in beside} <= known
    assert str(inside) not in known


def test_a_model_that_is_replaced_is_measured_again(stage: Stage) -> None:
    path = put(lora(stage, "replaced.safetensors"))
    stage.daemon.until("model.indexed", path=path)
    beside = path.with_name(".replaced.new")
    beside.write_bytes(weights("another", 6000))
    beside.replace(path)

    stage.daemon.until("model.indexed", path=path, sha256=weights_sha256("another", 6000))


def test_a_model_whose_directory_is_no_utf8_does_not_stop_anything(stage: Stage) -> None:
    """The same name lies elsewhere, under a path that cannot be written down as text."""
    odd = stage.tree.models / "loras" / "caf\udce9" / "odd.safetensors"
    put(odd)
    stage.daemon.when(lambda: "odd.safetensors" in stage.get("/api/v1/models?limit=1000").text)
    path = stage.drop("odd.json", Want("odd.safetensors"))
    stage.daemon.until("workflow.analyzed", workflow=path)
    stage.lets_time_pass("beside-odd.json")

    assert stage.lines("job.failed", path) == []
    for page in ("/api/v1/models", "/api/v1/references", "/api/v1/workflows", "/"):
        assert stage.get(page).status_code == 200, page


def test_a_web_page_under_the_name_of_a_model_is_told_as_corrupt(stage: Stage) -> None:
    path = lora(stage, "page.safetensors")
    path.write_bytes(b"<!doctype html><title>Sign in</title>" * 100)
    line = stage.daemon.until("model.corrupt", path=path)

    assert line["error"]["remedy"]


def test_a_link_to_a_model_on_another_drive_counts(stage: Stage) -> None:
    real = put(stage.tree.base / "drive" / "linked.safetensors")
    lora(stage, "linked.safetensors").symlink_to(real)

    stage.ready(stage.drop("linked.json", Want("linked.safetensors")))


def test_models_behind_a_linked_directory_are_watched(stage: Stage) -> None:
    drive = stage.tree.base / "second-drive"
    drive.mkdir()
    lora(stage, "external").symlink_to(drive)
    path = stage.drop("external.json", Want("external/there.safetensors"))
    stage.daemon.until("reference.unresolved", name="external/there.safetensors")
    put(drive / "there.safetensors")
    stage.ready(path)

    assert stage.daemon.events("sweep.finished")[0]["reason"] == "start"


def test_a_file_that_was_measured_is_not_read_again_at_the_next_start(
    tmp_path: Path, hub: Hub
) -> None:
    tree = Tree(tmp_path, hub.url, tuple(hub.hosts), SHORT_REST)
    mine = put(tree.models / "loras/mine.safetensors")
    path = drop(tree.workflows / "a.json", has(hub, "a.safetensors"))
    with running(tree) as daemon:
        daemon.until("model.indexed", path=mine)
        daemon.until("workflow.ready", workflow=path)
        daemon.stop()
    os.utime(mine.parent)
    with running(tree) as daemon:
        other = put(tree.models / "loras/other.safetensors")
        daemon.until("model.indexed", path=other)

    assert [line["path"] for line in daemon.events("model.indexed")] == [str(other)]
    assert daemon.events("workflow.analyzed") == []
