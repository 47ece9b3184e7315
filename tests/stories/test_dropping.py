"""A workflow is dropped, in all the ways that files come into a folder."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from comfywatchman.demo.drops import drops
from comfywatchman.demo.hub import Hub
from comfywatchman.demo.picture import png_with_workflow
from comfywatchman.demo.templates import Templates
from comfywatchman.demo.weights import weights
from tests.stories.daemon import Tree, running
from tests.stories.made import Want, drop, has, prompt, text
from tests.stories.stage import Stage

Save = Callable[[Path, str], None]


def in_place(path: Path, content: str) -> None:
    path.write_text(content)


def by_rename(path: Path, content: str) -> None:
    """As most editors save: written beside under a hidden name, then renamed over."""
    beside = path.with_name(f".{path.name}.tmp")
    beside.write_text(content)
    beside.replace(path)


def with_a_backup(path: Path, content: str) -> None:
    """As vim saves: the old file becomes a backup, the new one is written and synced in place."""
    if path.exists():
        path.rename(path.with_name(path.name + "~"))
    with path.open("w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def copied_in(path: Path, content: str) -> None:
    """As a file manager does it, with the times of the original, which lie years back."""
    original = path.parent.parent / path.name
    original.write_text(content)
    os.utime(original, (1_500_000_000, 1_500_000_000))
    shutil.copy2(original, path)


def moved_in(path: Path, content: str) -> None:
    original = path.parent.parent / path.name
    original.write_text(content)
    original.rename(path)


def linked_in(path: Path, content: str) -> None:
    original = path.parent.parent / path.name
    original.write_text(content)
    path.symlink_to(original)


@pytest.mark.parametrize(
    "save",
    [in_place, by_rename, with_a_backup, copied_in, moved_in, linked_in],
    ids=lambda save: save.__name__,
)
def test_a_dropped_workflow_ends_ready_with_the_hub_s_file_in_its_folder(
    stage: Stage, save: Save
) -> None:
    want = stage.has(f"{save.__name__}.safetensors")
    path = stage.tree.workflows / f"{save.__name__}.json"
    save(path, text(want))
    stage.ready(path)

    assert stage.is_right(want)
    line = stage.placed(want)
    assert line["path"] == str(stage.tree.models / "loras" / want.name)
    assert line["sha256"] == stage.hub.named(want.name).sha256
    assert line["source"] == "workflow"


@pytest.mark.parametrize(
    "save", [in_place, by_rename, with_a_backup], ids=lambda save: save.__name__
)
def test_an_edited_workflow_is_analyzed_again(stage: Stage, save: Save) -> None:
    first = stage.has(f"first-{save.__name__}.safetensors")
    second = stage.has(f"second-{save.__name__}.safetensors", "vae")
    path = stage.tree.workflows / f"edited-{save.__name__}.json"
    save(path, text(first))
    stage.ready(path, references=1)
    save(path, text(first, second))
    stage.ready(path, references=2)

    assert stage.is_right(second)
    assert stage.placed(first)


def in_thirds(content: str) -> list[str]:
    third = len(content) // 3 + 1
    return [content[at : at + third] for at in range(0, len(content), third)]


def test_a_workflow_that_a_slow_writer_has_open_is_read_once_and_when_it_is_whole(
    stage: Stage,
) -> None:
    path = stage.tree.workflows / "slow.json"
    with path.open("w") as file:
        for number, part in enumerate(in_thirds(text(stage.has("slow.safetensors")))):
            file.write(part)
            file.flush()
            stage.daemon.when(lambda: pending(stage) >= 1, what="a pending path")
            stage.lets_time_pass(f"beside-slow-{number}.json")
    stage.ready(path)

    analyzed = stage.lines("workflow.analyzed", path)
    assert [line["state"] for line in analyzed if line["cause"] == "changed"] == ["blocked"]
    assert len(stage.lines("workflow.settled", path)) == 1


def pending(stage: Stage) -> float:
    rows = stage.get("/metrics").text.splitlines()
    (row,) = (row for row in rows if row.startswith("comfywatchman_pending_paths"))
    return float(row.split()[-1])


def test_a_workflow_written_in_bursts_ends_ready(stage: Stage) -> None:
    """Its writer opens and closes it for every burst, so nobody can see that it goes on."""
    path = stage.tree.workflows / "bursts.json"
    for number, part in enumerate(in_thirds(text(stage.has("bursts.safetensors")))):
        with path.open("a") as file:
            file.write(part)
        stage.lets_time_pass(f"beside-bursts-{number}.json")
    stage.ready(path)


def test_a_workflow_in_a_picture_is_fixed(stage: Stage) -> None:
    want = stage.has("picture.safetensors")
    path = stage.tree.workflows / "picture.png"
    path.write_bytes(png_with_workflow(text(want)))
    stage.ready(path)

    assert stage.is_right(want)


def test_the_api_form_is_fixed_from_what_the_catalog_knows(stage: Stage) -> None:
    repo = "https://huggingface.co/Comfy-Org/flux1-schnell"
    want = Want("flux1-schnell-fp8.safetensors", "checkpoints")
    stage.hub.add(f"{repo}/resolve/main/{want.name}")
    path = stage.tree.workflows / "api.json"
    path.write_text(json.dumps(prompt(want)))
    stage.ready(path)

    assert stage.placed(want)["source"] == "catalog"


def test_official_templates_in_every_shape_are_fixed(stage: Stage) -> None:
    plan = drops(Templates.installed())
    wants = [Want(model.name, model.folder, model.url) for each in plan for model in each.models]
    for want in wants:
        stage.hub.add(str(want.url))
    for path in [each.into(stage.tree.workflows) for each in plan]:
        stage.ready(path)

    assert all(stage.is_right(want) for want in wants)


def test_a_workflow_whose_models_are_here_is_ready_and_nothing_is_asked(stage: Stage) -> None:
    want = stage.has("mine.safetensors")
    (stage.tree.models / want.where).write_bytes(weights("my own", 3000))
    stage.daemon.until("model.indexed", name="mine.safetensors")
    path = stage.drop("mine.json", want)
    stage.ready(path)

    assert stage.asked_for(want) == 0
    (analyzed,) = stage.lines("workflow.analyzed", path)
    assert (analyzed["missing"], analyzed["models"]) == (0, [])


def test_workflows_that_lay_there_before_the_start_are_fixed_too(tree: Tree, hub: Hub) -> None:
    deep = tree.workflows / "deep/er"
    deep.mkdir(parents=True)
    paths = [
        drop(tree.workflows / "a.json", has(hub, "a.safetensors")),
        drop(deep / "b.json", has(hub, "b.safetensors")),
    ]
    with running(tree) as daemon:
        for path in paths:
            daemon.until("workflow.ready", workflow=path)

    assert list(tree.placed()) == ["loras/a.safetensors", "loras/b.safetensors"]


def test_a_directory_of_workflows_that_is_moved_in_is_fixed(stage: Stage) -> None:
    outside = stage.tree.base / "collection"
    (outside / "deep").mkdir(parents=True)
    drop(outside / "deep/a.json", stage.has("moved-in-deep.safetensors"))
    outside.rename(stage.tree.workflows / "collection")

    stage.ready(stage.tree.workflows / "collection/deep/a.json")


def test_a_removed_workflow_is_forgotten_and_its_models_stay(stage: Stage) -> None:
    want = stage.has("stays.safetensors")
    path = stage.drop("goes.json", want)
    stage.ready(path)
    path.unlink()
    stage.daemon.until("workflow.removed", workflow=path)

    assert str(path) not in stage.get("/api/v1/workflows").text
    assert stage.is_right(want)


def test_a_directory_of_workflows_that_is_removed_does_not_take_its_neighbors_along(
    stage: Stage,
) -> None:
    want = stage.has("neighbors.safetensors")
    inside = stage.tree.workflows / "flux"
    inside.mkdir()
    gone = stage.drop("flux/w.json", want)
    stays = [stage.drop(name, want) for name in ("flux.json", "flux-dev.json")]
    for path in (gone, *stays):
        stage.ready(path)
    shutil.rmtree(inside)
    stage.daemon.until("workflow.removed", workflow=gone)
    stage.lets_time_pass("after-the-removal.json")
    known = stage.get("/api/v1/workflows").text

    assert json.dumps(str(gone)) not in known
    for path in stays:
        assert json.dumps(str(path)) in known
        assert stage.lines("workflow.removed", path) == []


def test_a_renamed_workflow_has_its_new_name(stage: Stage) -> None:
    before = stage.drop("before.json", stage.has("renamed.safetensors"))
    after = before.with_name("after.json")
    stage.ready(before)
    before.rename(after)
    stage.ready(after)
    stage.daemon.until("workflow.removed", workflow=before)


def test_a_workflow_whose_name_is_no_utf8_is_fixed_and_shown(stage: Stage) -> None:
    want = stage.has("for-a-name-that-is-no-utf8.safetensors")
    stage.drop("caf\udce9.json", want)
    stage.daemon.until("model.placed", name=want.name)
    stage.daemon.when(
        lambda: any("caf" in line["workflow"] for line in stage.daemon.events("workflow.ready"))
    )

    for page in ("/api/v1/workflows", "/api/v1/status", "/", "/metrics"):
        assert stage.get(page).status_code == 200, page


def test_two_names_of_one_file_are_fetched_once_and_linked(stage: Stage) -> None:
    content = weights("same", 30_000)
    wants = [stage.has(f"{name}-of-two.safetensors", content=content) for name in ("one", "two")]
    stage.ready(stage.drop("two-names.json", *wants))

    first, second = (stage.tree.models / want.where for want in wants)
    assert first.samefile(second)
    fetched = stage.hub.fetched()
    assert sum(count.whole for key, count in fetched.items() if "-of-two" in key) == 1
