from __future__ import annotations

import os
from pathlib import Path

import pytest

from comfywatchman.comfyui.layout import read_layout
from comfywatchman.comfyui.packs import face, identify, list_packs, owner_and_name, stamp
from tests.comfyui.packing import cloned, pack, published


@pytest.fixture
def home(tmp_path: Path) -> Path:
    found = tmp_path / "custom_nodes"
    found.mkdir()
    return found


def names(*directories: Path) -> list[tuple[str, bool]]:
    packs = [identify(path) for path in list_packs(directories).packs]
    return [(found.name, found.enabled) for found in packs]


def test_a_directory_with_an_init_file_is_a_pack_and_so_is_a_python_file(home: Path) -> None:
    pack(home, "fancy-pack")
    (home / "single.py").write_text("NODE_CLASS_MAPPINGS = {}")
    (home / "notes.txt").touch()
    (home / "example_node.py.example").touch()
    (home / "__pycache__").mkdir()
    (home / "empty").mkdir()

    assert names(home) == [("fancy-pack", True), ("single", True)]


def test_switched_off_packs_are_told_as_such_in_all_three_spellings(home: Path) -> None:
    pack(home, "old-way.disabled")
    pack(home / ".disabled", "new-way@1_0_2")
    (home / "single.py.disabled").touch()

    packs = {found.name: found for found in map(identify, list_packs([home]).packs)}

    assert {name: found.enabled for name, found in packs.items()} == {
        "old-way": False,
        "new-way": False,
        "single": False,
    }
    assert packs["new-way"].version == "1.0.2"


def test_a_registry_pack_tells_id_version_title_and_repository(home: Path) -> None:
    root = published(pack(home, "some-dir"), "Fancy-Pack", "Someone/Fancy-Pack", "Fancy Nodes")

    found = identify(root)

    assert (found.cnr_id, found.version) == ("fancy-pack", "1.2.3")
    assert (found.title, found.repository) == ("Fancy Nodes", "someone/fancy-pack")
    assert found.pack.id == "fancy-pack"
    assert found.pack.url == "https://github.com/someone/fancy-pack"


@pytest.mark.parametrize(
    "address",
    [
        "https://github.com/Someone/Fancy.Pack.git",
        "https://github.com/someone/fancy.pack",
        "https://github.com/someone/fancy.pack/",
        "git@github.com:someone/fancy.pack.git",
        "ssh://git@github.com/someone/fancy.pack",
        "https://user:token@github.com/someone/fancy.pack.git",
    ],
)
def test_a_clone_tells_the_repository_of_its_remote(home: Path, address: str) -> None:
    found = identify(cloned(pack(home, "x"), address))

    assert found.repository == "someone/fancy.pack"
    assert found.pack.id == "someone/fancy.pack"


def test_a_clone_of_a_registry_pack_tells_the_id_that_manager_left_there(home: Path) -> None:
    root = cloned(pack(home, "x"), "https://github.com/someone/pack")
    (root / ".git" / ".cnr-id").write_text("Fancy-Pack\n")

    assert identify(root).cnr_id == "fancy-pack"


def test_a_submodule_tells_the_repository_from_where_git_keeps_it(home: Path) -> None:
    root = pack(home, "x")
    (home / "kept").mkdir()
    (home / "kept" / "config").write_text('[remote "origin"]\n\turl = https://github.com/a/b\n')
    (root / ".git").write_text("gitdir: ../kept\n")

    assert identify(root).repository == "a/b"


@pytest.mark.parametrize(
    "text",
    [
        "not toml at all [",
        "project = 5",
        "[project]\nname = 5\nversion = []",
        "[project]\nurls = 'x'",
        "[project]\n" + "a.b.c.d.e.f.g.h = 1\n" * 3,
        "x = " + "[" * 3000 + "]" * 3000,
        "#" * 300_000,
        "\0",
    ],
)
def test_a_broken_project_file_leaves_the_name_of_the_directory(home: Path, text: str) -> None:
    root = pack(home, "plain")
    (root / "pyproject.toml").write_text(text)

    found = identify(root)

    assert (found.name, found.cnr_id, found.pack.id) == ("plain", None, "plain")


def test_an_address_elsewhere_is_no_repository_that_we_could_name() -> None:
    assert owner_and_name("https://gitlab.com/a/b") is None
    assert owner_and_name("nonsense") is None


def test_a_directory_that_is_not_there_has_no_packs_and_one_that_cannot_be_read_is_told(
    home: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()

    assert list_packs([tmp_path / "nowhere"]).unreadable == ()
    assert list_packs([tmp_path / "file"]).unreadable == (tmp_path / "file",)


def test_packs_of_every_configured_directory_are_found(tmp_path: Path) -> None:
    root = tmp_path / "ComfyUI"
    (root / "models").mkdir(parents=True)
    (root / "extra_model_paths.yaml").write_text("mine:\n  base_path: ..\n  custom_nodes: more\n")
    pack(root / "custom_nodes", "one")
    pack(tmp_path / "more", "two")

    layout = read_layout(root)

    assert layout.custom_nodes == (root / "custom_nodes", tmp_path / "more")
    assert names(*layout.custom_nodes) == [("one", True), ("two", True)]


def test_a_base_directory_has_the_custom_nodes(tmp_path: Path) -> None:
    root, base = tmp_path / "ComfyUI", tmp_path / "data"
    root.mkdir()

    assert read_layout(root, base_directory=base).custom_nodes == (base / "custom_nodes",)


def touched(file: Path) -> None:
    """Give *file* a time that it did not have."""
    found = file.stat()
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns + 1_000_000_000))


def test_the_face_changes_when_a_pack_comes_goes_or_is_updated(home: Path) -> None:
    root = cloned(published(pack(home, "one"), "one"), "https://github.com/a/one")
    seen = [face(list_packs([home]).packs)]
    touched(root / ".git" / "HEAD")
    seen.append(face(list_packs([home]).packs))
    touched(root / "pyproject.toml")
    seen.append(face(list_packs([home]).packs))
    two = pack(home, "two")
    seen.append(face(list_packs([home]).packs))
    two.rename(home / "two.disabled")
    seen.append(face(list_packs([home]).packs))

    assert len(set(seen)) == 5
    assert face(list_packs([home]).packs) == seen[-1]


def test_the_stamp_changes_with_every_source_and_with_nothing_else(home: Path) -> None:
    root = pack(home, "one", deep__a_py="x = 1", web__b_js="y")
    before = stamp(root)
    (root / "models").mkdir()
    (root / "models" / "big.safetensors").touch()
    (root / "__pycache__").mkdir()
    (root / "__pycache__" / "a.py").touch()

    assert stamp(root) == before
    touched(root / "deep" / "a.py")
    assert stamp(root) != before
