"""A walk over what is watched, compared with what is known."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from comfywatchman.domain.files import Folders
from comfywatchman.domain.messages import ModelCorrupt, ModelFound, WorkflowAnalyzed
from comfywatchman.pipeline.sweeping import (
    Tree,
    found_model,
    is_workflow_file,
    models_of,
    sweep_tree,
    trees,
)
from tests.pipeline.office import Office, model_bytes, put_model
from tests.state.rows import analysis


@pytest.fixture
def models_tree(folders: Folders) -> Tree:
    return Tree("models", "models", folders.models_root, models_of(folders))


@pytest.fixture
def workflows_tree(tmp_path: Path) -> Tree:
    (tmp_path / "workflows").mkdir()
    return Tree("workflows", "workflow_dirs.0", tmp_path / "workflows", is_workflow_file)


def index(office: Office, *paths: Path) -> None:
    for path in paths:
        office.happens(*found_model(path))


def lora(folders: Folders, name: str) -> Path:
    return folders.models_root / "loras" / name


# -- what is watched


def test_the_model_directories_are_watched_as_one_tree_and_outer_ones_beside_it(
    folders: Folders, tmp_path: Path
) -> None:
    workflows = tmp_path / "workflows"
    found = {tree.key: tree for tree in trees([workflows], folders)}

    assert found["workflow_dirs.0"].root == workflows
    assert found["models"].root == folders.models_root
    assert not found["models"].optional
    # What ComfyUI's save nodes write counts, and need not exist.
    outputs = [tree for key, tree in found.items() if key.startswith("model_roots.")]
    assert {tree.root.parent.name for tree in outputs} == {"output"}
    assert all(tree.optional for tree in outputs)


@pytest.mark.parametrize("name", ["a.json", "A.JSON", "a.png", "with space.json", "caf\udce9.json"])
def test_a_file_that_may_hold_a_workflow_is_known_by_its_name(name: str) -> None:
    assert is_workflow_file(name)


@pytest.mark.parametrize(
    "name", [".a.json", ".a.json.tmp", "a.json.tmp", "a.json~", "a.txt", "json", ".json"]
)
def test_what_editors_write_beside_it_is_none(name: str) -> None:
    assert not is_workflow_file(name)


def test_a_model_is_known_by_its_suffix_and_a_part_is_none(folders: Folders) -> None:
    is_model = models_of(folders)

    assert is_model("a.safetensors")
    assert is_model("a.gguf")
    assert not is_model(".a.safetensors.0123456789ab.part")
    assert not is_model("put_loras_here")


# -- what differs


def test_a_first_sweep_finds_every_file(
    office: Office, folders: Folders, models_tree: Tree
) -> None:
    paths = [lora(folders, "a.safetensors"), lora(folders, "deep/er/b.safetensors")]
    for path in paths:
        put_model(path)
    lora(folders, "readme.txt").touch()
    news = sweep_tree(models_tree, office.reader)

    assert sorted(path for path, _ in news.found.added()) == paths
    assert (news.files, news.offline) == (2, None)
    assert os.fsencode(folders.models_root) in news.directories


def test_a_sweep_of_what_is_known_finds_nothing(
    office: Office, folders: Folders, models_tree: Tree
) -> None:
    path = lora(folders, "a.safetensors")
    put_model(path)
    index(office, path)
    news = sweep_tree(models_tree, office.reader)

    assert set(dict(news.found.counts()).values()) == {0}


def test_what_changed_and_what_is_gone_are_told_apart(
    office: Office, folders: Folders, models_tree: Tree
) -> None:
    changed, gone = lora(folders, "changed.safetensors"), lora(folders, "deep/gone.safetensors")
    for path in (changed, gone):
        put_model(path)
    index(office, changed, gone)
    put_model(changed, model_bytes(data=128))
    gone.unlink()
    gone.parent.rmdir()
    news = sweep_tree(models_tree, office.reader)

    assert [path for path, _ in news.found.changed()] == [changed]
    assert [path for path, _ in news.found.removed()] == [gone]
    assert list(news.found.added()) == []


def test_a_renamed_file_is_neither_new_nor_gone(
    office: Office, folders: Folders, models_tree: Tree
) -> None:
    before, after = lora(folders, "a.safetensors"), folders.models_root / "vae/b.safetensors"
    put_model(before)
    index(office, before)
    before.rename(after)
    news = sweep_tree(models_tree, office.reader)

    assert [(move.before, move.after) for move in news.found.moved] == [(before, after)]
    assert list(news.found.added()) == list(news.found.removed()) == []


def test_a_root_that_is_gone_proves_nothing_about_what_was_in_it(
    office: Office, folders: Folders, models_tree: Tree
) -> None:
    path = lora(folders, "a.safetensors")
    put_model(path)
    index(office, path)
    folders.models_root.rename(folders.models_root.with_name("unplugged"))
    news = sweep_tree(models_tree, office.reader)

    assert news.offline is not None
    assert news.offline.remedy
    assert list(news.found.removed()) == []


def test_a_directory_that_was_removed_takes_its_files_with_it(
    office: Office, folders: Folders, models_tree: Tree
) -> None:
    inside, beside = lora(folders, "flux/a.safetensors"), lora(folders, "flux-dev.safetensors")
    for path in (inside, beside):
        put_model(path)
    index(office, inside, beside)
    inside.unlink()
    inside.parent.rmdir()
    news = sweep_tree(models_tree, office.reader, inside.parent)

    assert news.offline is None
    assert [path for path, _ in news.found.removed()] == [inside]


def test_a_sweep_below_a_directory_says_nothing_about_the_rest(
    office: Office, folders: Folders, models_tree: Tree
) -> None:
    here, there = lora(folders, "flux/a.safetensors"), lora(folders, "sdxl/b.safetensors")
    for path in (here, there):
        put_model(path)
    index(office, there)
    there.unlink()
    news = sweep_tree(models_tree, office.reader, here.parent)

    assert [path for path, _ in news.found.added()] == [here]
    assert list(news.found.removed()) == []


def test_a_link_to_a_drive_that_is_not_there_removes_nothing(
    office: Office, folders: Folders, models_tree: Tree, tmp_path: Path
) -> None:
    drive = tmp_path / "drive"
    put_model(drive / "a.safetensors")
    link = lora(folders, "external")
    link.symlink_to(drive)
    index(office, link / "a.safetensors")
    drive.rename(tmp_path / "unplugged")
    news = sweep_tree(models_tree, office.reader)

    assert list(news.found.removed()) == []
    assert [path for path, _ in news.troubles] == [link]


def test_a_directory_behind_a_link_is_told_so_that_it_is_watched(
    office: Office, folders: Folders, models_tree: Tree, tmp_path: Path
) -> None:
    drive = tmp_path / "drive"
    put_model(drive / "a.safetensors")
    link = lora(folders, "external")
    link.symlink_to(drive)
    news = sweep_tree(models_tree, office.reader)

    assert news.linked == ((link, drive),)
    assert [path for path, _ in news.found.added()] == [link / "a.safetensors"]


def test_workflows_are_compared_with_their_own_rows(office: Office, workflows_tree: Tree) -> None:
    known, new = workflows_tree.root / "known.json", workflows_tree.root / "new.json"
    for path in (known, new):
        path.write_text("{}")
    seen = put_model(known, b"{}")
    office.happens(WorkflowAnalyzed(analysis(known), 0.1, stamp=seen))
    news = sweep_tree(workflows_tree, office.reader)

    assert [path for path, _ in news.found.added()] == [new]


# -- a model that has come to rest


def test_a_whole_model_is_told_with_its_stamp(folders: Folders) -> None:
    path = lora(folders, "a.safetensors")
    seen = put_model(path)

    assert found_model(path) == [ModelFound(path, seen.size, whole=True, stamp=seen)]


def test_a_model_that_is_shorter_than_its_header_says_is_still_arriving(folders: Folders) -> None:
    path = lora(folders, "a.safetensors")
    put_model(path, model_bytes()[:-1])

    (event,) = found_model(path)
    assert isinstance(event, ModelFound)
    assert not event.whole


def test_a_web_page_under_a_model_s_name_is_told_as_such(folders: Folders) -> None:
    path = lora(folders, "a.safetensors")
    put_model(path, b"<!doctype html><title>Sign in</title>" * 10)

    (_, corrupt) = found_model(path)
    assert isinstance(corrupt, ModelCorrupt)
    assert corrupt.trouble.remedy


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_directory_that_may_not_be_read_is_told_and_removes_nothing(
    office: Office, folders: Folders, models_tree: Tree
) -> None:
    path = lora(folders, "closed/a.safetensors")
    put_model(path)
    index(office, path)
    path.parent.chmod(0)
    try:
        news = sweep_tree(models_tree, office.reader)
    finally:
        path.parent.chmod(0o755)

    assert [where for where, _ in news.troubles] == [path.parent]
    assert list(news.found.removed()) == []


def test_a_link_that_leads_back_up_is_no_directory_of_more_models(
    office: Office, folders: Folders, models_tree: Tree
) -> None:
    put_model(lora(folders, "x.safetensors"))
    loop = folders.models_root / "loras" / "loop"
    loop.symlink_to("..")
    news = sweep_tree(models_tree, office.reader, loop)

    assert (news.files, list(news.found.added()), news.linked) == (0, [], ())
