from __future__ import annotations

from pathlib import Path

import pytest

from comfywatchman.comfyui import find_comfyui
from comfywatchman.comfyui.places import inner
from comfywatchman.domain.errors import ComfyUINotFound


def code(directory: Path) -> Path:
    directory.mkdir(parents=True)
    for name in ("main.py", "folder_paths.py"):
        (directory / name).touch()
    return directory


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current directory that is no ComfyUI, and a home beside it."""
    here = tmp_path / "elsewhere"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


@pytest.mark.parametrize(
    "place",
    [
        "ComfyUI",
        "comfy/ComfyUI",
        "ComfyUI-Installs/first/ComfyUI",
        "Documents/ComfyUI",
        "ComfyUI_windows_portable/ComfyUI",
        "StabilityMatrix/Packages/ComfyUI",
        ".config/StabilityMatrix/Packages/ComfyUI",
        "pinokio/api/comfy.git/app",
    ],
)
def test_comfyui_is_found_in_the_usual_places(tmp_path: Path, place: str) -> None:
    tree = code(tmp_path / "home" / place)

    assert find_comfyui(None, {}, tmp_path / "home") == tree


def test_the_current_directory_goes_before_the_home(tmp_path: Path, elsewhere: Path) -> None:
    code(tmp_path / "home" / "ComfyUI")
    here = code(elsewhere / "ComfyUI")

    assert find_comfyui(None, {}, tmp_path / "home") == here


def test_the_places_of_windows_come_from_the_environment(tmp_path: Path) -> None:
    tree = code(tmp_path / "local" / "Comfy-Desktop" / "ComfyUI-Installs" / "a" / "ComfyUI")

    found = find_comfyui(None, {"LOCALAPPDATA": str(tmp_path / "local")}, tmp_path / "home")

    assert found == tree


def test_a_base_directory_without_code_is_known_by_its_model_folders(tmp_path: Path) -> None:
    base = tmp_path / "home" / "Documents" / "ComfyUI"
    (base / "models" / "checkpoints").mkdir(parents=True)

    assert find_comfyui(None, {}, tmp_path / "home") == base


def test_the_models_directory_of_another_program_is_not_taken(elsewhere: Path) -> None:
    (elsewhere / "models" / "user").mkdir(parents=True)
    (elsewhere / "main.py").touch()

    assert inner(elsewhere) is None


def test_a_configured_tree_goes_before_everything(tmp_path: Path) -> None:
    code(tmp_path / "home" / "ComfyUI")
    mine = code(tmp_path / "mine")

    assert find_comfyui(mine, {}, tmp_path / "home") == mine


def test_the_directory_of_the_portable_build_is_taken_for_the_tree_in_it(tmp_path: Path) -> None:
    tree = code(tmp_path / "ComfyUI_windows_portable" / "ComfyUI")

    assert find_comfyui(tree.parent, {}, tmp_path) == tree


def test_a_configured_link_keeps_its_spelling(tmp_path: Path) -> None:
    tree = code(tmp_path / "real")
    (tmp_path / "link").symlink_to(tree)

    assert find_comfyui(tmp_path / "link", {}, tmp_path) == tmp_path / "link"


def test_a_configured_tree_with_an_empty_models_directory_is_enough(tmp_path: Path) -> None:
    (tmp_path / "scratch" / "models").mkdir(parents=True)

    assert find_comfyui(tmp_path / "scratch", {}, tmp_path) == tmp_path / "scratch"


@pytest.mark.parametrize("make", [True, False], ids=["empty", "absent"])
def test_a_configured_directory_that_is_no_comfyui_is_refused_with_a_remedy(
    tmp_path: Path, make: bool
) -> None:
    place = tmp_path / "wrong"
    if make:
        place.mkdir()

    with pytest.raises(ComfyUINotFound) as raised:
        find_comfyui(place, {}, tmp_path)

    assert str(place) in raised.value.cause
    assert "comfyui_root" in raised.value.remedy
