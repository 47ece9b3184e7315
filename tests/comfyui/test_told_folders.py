"""Directories that a running server reads and no file tells of."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from comfywatchman.comfyui.asking import Inquiry
from comfywatchman.comfyui.layout import Layout, read_layout
from comfywatchman.comfyui.told import FILE, Directories, Told, compare, keep_told, read_told
from tests.comfyui.serving_comfyui import CAPTURES, SmallComfyUI

SERVER = "http://127.0.0.1:8188"


@dataclass
class Tree:
    root: Path

    def make(self, *names: str) -> None:
        for name in names:
            (self.root / name).mkdir(parents=True, exist_ok=True)

    def put(self, name: str) -> None:
        self.make(str(Path(name).parent))
        (self.root / name).touch()

    def layout(self, told: Directories | None = None) -> Layout:
        return read_layout(self.root / "ComfyUI", told=told or {})

    def said(self, **folders: list[str]) -> dict[str, list[str]]:
        """What the server says: its directories below the tree, and one that is ours too."""
        rows = {name: [str(self.root / path) for path in paths] for name, paths in folders.items()}
        return {"vae": [str(self.root / "ComfyUI/models/vae")], **rows}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    tree = Tree(tmp_path)
    tree.make("ComfyUI/models/loras", "ComfyUI/models/vae", "ComfyUI/custom_nodes", "big/loras")
    return tree


def told(tree: Tree, said: dict[str, list[str]], **lists: set[str]) -> Told:
    own = tree.layout().own
    assert own is not None
    names = {name: frozenset(found) for name, found in lists.items()}
    return compare(said, names, own)


def test_a_server_that_reads_what_we_know_tells_nothing_new(tree: Tree) -> None:
    said = tree.said(loras=["ComfyUI/models/loras", "ComfyUI/output/loras"])

    assert told(tree, said, loras=set()) == Told()


def test_what_is_known_by_its_name_is_not_looked_at(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hangs(path: object) -> str:
        raise AssertionError(path)

    own = tree.layout().own
    assert own is not None
    said = tree.said(loras=["ComfyUI/models/loras"])
    monkeypatch.setattr("os.path.realpath", hangs)

    assert compare(said, {}, own) == Told()


def test_the_same_directory_by_another_name_is_nothing_new(tree: Tree) -> None:
    (tree.root / "link").symlink_to(tree.root / "ComfyUI")

    assert told(tree, tree.said(loras=["link/models/loras"]), loras=set()) == Told()


def test_where_it_reads_another_directory_that_holds_what_it_lists_new_files_go_there(
    tree: Tree,
) -> None:
    tree.put("big/loras/sub/a.safetensors")
    found = told(tree, tree.said(loras=["big/loras"]), loras={"sub/a.safetensors"})

    assert found.followed == {"loras": (tree.root / "big/loras",)}
    folders = tree.layout(found.followed).folders
    assert folders.folder("loras").write_root == tree.root / "big/loras"
    assert tree.root / "big/loras" in folders.folder("loras").roots
    assert tree.layout(found.followed).own == tree.layout().folders


def test_a_further_directory_is_looked_through_and_changes_no_target(tree: Tree) -> None:
    tree.put("big/loras/a.safetensors")
    said = tree.said(loras=["ComfyUI/models/loras", "big/loras"])
    found = told(tree, said, loras={"a.safetensors"})
    loras = tree.layout(found.followed).folders.folder("loras")

    assert loras.write_root == tree.root / "ComfyUI/models/loras"
    assert loras.roots[-1] == tree.root / "big/loras"


def test_a_directory_that_both_know_and_nobody_made_yet_stays_the_target(tree: Tree) -> None:
    (tree.root / "ComfyUI/models/loras").rmdir()
    (tree.root / "link").symlink_to(tree.root / "ComfyUI")
    found = told(tree, tree.said(loras=["big/loras", "link/models/loras"]), loras=set())
    loras = tree.layout(found.followed).folders.folder("loras")

    assert found.followed["loras"][1] == tree.root / "ComfyUI/models/loras" == loras.write_root
    assert len(loras.roots) == len(tree.layout().folders.folder("loras").roots) + 1


def test_an_empty_directory_of_a_server_that_lists_nothing_is_its_own(tree: Tree) -> None:
    assert "loras" in told(tree, tree.said(loras=["big/loras"]), loras=set()).followed


@pytest.mark.parametrize("listed", [{"elsewhere.safetensors"}, set()])
def test_a_directory_that_does_not_hold_what_is_listed_is_another_ones(
    tree: Tree, listed: set[str]
) -> None:
    tree.put("big/loras/mine.safetensors")
    found = told(tree, tree.said(loras=["big/loras"]), loras=listed)

    assert found == Told({}, {"loras": tree.root / "big/loras"})


def test_a_server_in_a_container_speaks_of_directories_that_are_not_here(tree: Tree) -> None:
    assert told(tree, {"loras": ["/opt/none/models/loras"]}, loras={"a.pt"}) == Told()


@pytest.mark.parametrize("shared", [["big/loras"], ["big/loras", "shared/loras"]])
def test_another_installation_is_told_and_not_followed_whatever_it_shares(
    tree: Tree, shared: list[str]
) -> None:
    tree.make("other/custom_nodes", "shared/loras")
    said = tree.said(loras=shared, custom_nodes=["other/custom_nodes"])

    assert told(tree, said, loras=set()) == Told({}, {"loras": tree.root / "big/loras"})


def test_it_is_our_installation_where_its_packs_are_ours(tree: Tree) -> None:
    said = tree.said(loras=["big/loras"], custom_nodes=["ComfyUI/custom_nodes"])

    assert "loras" in told(tree, said, loras=set()).followed


def test_without_a_word_about_packs_no_directory_in_common_means_another_one(tree: Tree) -> None:
    said = tree.said(loras=["big/loras"])
    del said["vae"]

    assert told(tree, said, loras=set()) == Told({}, {"loras": tree.root / "big/loras"})


@pytest.mark.parametrize("path", ["", ".", "ComfyUI", "ComfyUI/custom_nodes/pack/models"])
def test_no_directory_around_everything_and_none_of_a_pack_is_taken(tree: Tree, path: str) -> None:
    tree.make("ComfyUI/custom_nodes/pack/models")

    assert told(tree, tree.said(loras=[path]), loras=set()) == Told()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a directory away")
def test_nor_one_that_belongs_to_somebody_else(tree: Tree) -> None:
    os.chown(tree.root / "big/loras", 12345, 12345)

    assert told(tree, tree.said(loras=["big/loras"]), loras=set()) == Told()


@pytest.mark.parametrize("path", ["/", "/proc/self", "loras", "/dev/shm/x"])
def test_nor_one_of_the_system(tree: Tree, path: str) -> None:
    said = {**tree.said(), "loras": [path]}

    assert told(tree, said, loras=set()) == Told()


@pytest.mark.parametrize("name", ["../x", "/x", "custom_nodes", "configs", "unet_gguf"])
def test_names_that_are_no_folder_of_models_are_left_out(tree: Tree, name: str) -> None:
    said = {**tree.said(), name: [str(tree.root / "big/loras")]}

    assert told(tree, said, **{name: set()}) == Told()


@pytest.mark.skipif(not CAPTURES.exists(), reason="the team's captures are not here")
def test_what_a_real_server_said_about_the_usual_directories_is_nothing_new(tree: Tree) -> None:
    captured = json.loads((CAPTURES / "internal_folder_paths.json").read_text())["body"]
    text = json.dumps(captured).replace("/home/user/ComfyUI", str(tree.root / "ComfyUI"))
    with SmallComfyUI(models={"loras": [], "vae": []}) as server:
        server.bodies["/internal/folder_paths"] = text.encode()
        with Inquiry(server.url).look() as answers:
            said, lists = answers.paths, answers.lists()
    assert said is not None
    for paths in said.values():
        tree.make(*paths)
    own = tree.layout().own

    assert own is not None
    assert said["diffusion_models"][0] == str(own.models_root / "unet")
    assert compare(said, lists, own) == Told()


def test_what_was_told_is_kept_until_it_is_told_otherwise(tree: Tree) -> None:
    followed = {"loras": (tree.root / "big/loras",)}
    keep_told(tree.root, SERVER, followed)

    assert read_told(tree.root, SERVER) == followed
    assert read_told(tree.root, "http://127.0.0.1:8288") == {}
    written = (tree.root / FILE).stat().st_mtime_ns
    keep_told(tree.root, SERVER, followed)
    assert (tree.root / FILE).stat().st_mtime_ns == written
    keep_told(tree.root, SERVER, {})
    assert not (tree.root / FILE).exists()


@pytest.mark.parametrize("text", ["", "[]", '{"version": 2}', '{"version": 1, "folders": 3}'])
def test_a_broken_file_counts_as_none(tree: Tree, text: str) -> None:
    (tree.root / FILE).write_text(text)

    assert read_told(tree.root, SERVER) == {}
