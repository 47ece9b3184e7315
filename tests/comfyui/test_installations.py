"""Trees as other installers leave them: found, and read as ComfyUI would."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.comfyui.machine import Machine, code, directories, roots, write

pytestmark = pytest.mark.usefixtures("nowhere")


# -- the portable build


def test_the_portable_build_keeps_everything_in_the_directory_inside(linux: Machine) -> None:
    portable = directories(linux.home / "ComfyUI_windows_portable", "python_embeded", "update")
    tree = directories(code(portable / "ComfyUI"), "models/loras")

    for root, layout, _ in (linux.found(), linux.found(comfyui_root=portable)):
        assert root == tree
        assert roots(layout, "loras")[0] == tree / "models/loras"


# -- Stability Matrix


def matrix(machine: Machine, library: Path, package: str = "ComfyUI") -> Path:
    """Install ComfyUI and another program; its settings name the library."""
    directories(library, "Models/StableDiffusion", "Models/Lora", "Models/LyCORIS", "Models/VAE")
    directories(library / "Packages" / "Fooocus", "models/checkpoints", "models/loras")
    write(machine.settings_of("StabilityMatrix") / "library.json", {"LibraryPath": str(library)})
    return directories(code(library / "Packages" / package), "models")


def test_stability_matrix_shares_its_models_by_a_section_of_extra_model_paths(
    machine: Machine,
) -> None:
    library = machine.home / "AI" / "Matrix"
    tree = matrix(machine, library)
    models = library / "Models"
    text = (
        "stability_matrix:\n"
        f"  checkpoints: |-\n    {models}/StableDiffusion\n"
        f"  loras: |-\n    {models}/Lora\n    {models}/LyCORIS\n"
        f"  clip: |-\n    {models}/TextEncoders\n"
        f"  ultralytics: |-\n    {models}/Ultralytics\n"
        f"  ultralytics_bbox: |-\n    {models}/Ultralytics/bbox\n"
    )
    write(tree / "extra_model_paths.yaml", text)

    root, layout, _ = machine.found()

    assert root == tree
    assert roots(layout, "loras") == [
        tree / "models/loras",
        models / "Lora",
        models / "LyCORIS",
        tree / "output/loras",
    ]
    assert roots(layout, "text_encoders")[2] == models / "TextEncoders"
    assert roots(layout, "ultralytics/bbox") == [models / "Ultralytics/bbox"]
    named = layout.folders.named(models / "StableDiffusion" / "sd" / "x.safetensors")
    assert list(named) == [("checkpoints", "sd/x.safetensors")]
    assert layout.folders.folder("checkpoints").write_root == tree / "models/checkpoints"


def test_stability_matrix_shares_its_models_by_links(linux: Machine) -> None:
    library = linux.home / "StabilityMatrix" / "Data"
    tree = matrix(linux, library)
    (tree / "models" / "checkpoints").symlink_to(library / "Models/StableDiffusion")

    _, layout, _ = linux.found()

    linked = tree / "models/checkpoints/x.safetensors"
    assert roots(layout, "checkpoints")[0] == tree / "models/checkpoints"
    assert list(layout.folders.named(linked)) == [("checkpoints", "x.safetensors")]


def test_a_package_of_stability_matrix_may_have_any_name_but_must_be_comfyui(
    linux: Machine,
) -> None:
    tree = matrix(linux, linux.home / "Matrix", "My second ComfyUI")

    assert linux.found()[0] == tree  # and not Fooocus, which has models as well


# -- Pinokio


def test_an_app_of_pinokio_is_found_with_the_directories_that_it_links(machine: Machine) -> None:
    home = machine.home / "other place"
    tree = directories(code(home / "api/comfy.git/app"), "models")
    directories(home / "api/fluxgym.git/app", "models/loras")  # another app
    drive = directories(home / "drive/drives/peers/d1700000000000/loras")
    (tree / "models" / "loras").symlink_to(drive)
    write(machine.settings_of("Pinokio") / "config.json", {"home": str(home)})

    root, layout, _ = machine.found()

    assert root == tree
    assert roots(layout, "loras")[0] == tree / "models/loras"


# -- a base directory alone


def test_a_base_directory_is_enough_where_the_code_is_nowhere(linux: Machine) -> None:
    base = directories(linux.home / "data", "models/loras")

    root, layout, _ = linux.found(comfyui__base_directory=base)

    assert root == base
    assert roots(layout, "loras")[0] == base / "models/loras"
