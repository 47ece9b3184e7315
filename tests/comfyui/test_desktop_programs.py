"""Trees as the two desktop programs leave them: found, and read as their server would."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.comfyui.machine import LINUX, Machine, code, directories, roots, write

pytestmark = pytest.mark.usefixtures("nowhere")


# -- the older desktop program


def older(machine: Machine, base: Path) -> Path:
    """Install it with everything of the user in *base*; its code lies in the program."""
    directories(base, "models/checkpoints", "models/loras", "user/default/workflows", "output")
    settings = machine.settings_of("ComfyUI")
    write(settings / "config.json", {"basePath": str(base), "installState": "installed"})
    text = (
        "comfyui_desktop:\n"
        "  is_default: 'true'\n"
        "  custom_nodes: custom_nodes/\n"
        "  download_model_base: models\n"
        f"  base_path: {base}\n"
        "desktop_extensions:\n"
        "  custom_nodes: /program/resources/ComfyUI/custom_nodes\n"
        "comfyui_migration:\n"
        f"  base_path: {machine.home}/old/ComfyUI\n"
        "  loras: models/loras/\n"
    )
    write(settings / "extra_models_config.yaml", text)
    return base


def test_the_base_directory_of_the_older_desktop_program_is_found_by_its_settings(
    machine: Machine,
) -> None:
    base = older(machine, machine.home / "my models" / "Comfy")

    root, layout, workflows = machine.found()

    assert root == base
    assert roots(layout, "loras") == [
        base / "models/loras",
        machine.home / "old/ComfyUI/models/loras",
        base / "output/loras",
    ]
    assert layout.folders.folder("loras").write_root == base / "models/loras"
    assert layout.folders.folder("diffusion_models").write_root == base / "models/diffusion_models"
    assert workflows == (base / "user/default/workflows",)
    assert layout.troubles == ()


def test_the_code_inside_the_older_desktop_program_has_its_models_in_the_base_directory(
    machine: Machine,
) -> None:
    base = older(machine, machine.home / "Documents/ComfyUI")
    inside = code(machine.home / "ComfyUI.app/Contents/Resources/ComfyUI")

    root, layout, workflows = machine.found(comfyui_root=inside)

    assert root == inside
    assert roots(layout, "checkpoints")[0] == base / "models/checkpoints"
    assert workflows == (base / "user/default/workflows",)


def test_what_a_person_told_the_older_desktop_program_s_server_counts(linux: Machine) -> None:
    base = older(linux, linux.home / "ComfyUI-base")
    extra = write(linux.home / "more.yaml", "mine:\n  vae: /big/vae\n")
    arguments = {
        "output-directory": str(linux.home / "pictures"),
        "extra-model-paths-config": str(extra),
        "lowvram": "",
    }
    write(base / "user/default/comfy.settings.json", {"Comfy.Server.LaunchArgs": arguments})

    _, layout, _ = linux.found()

    assert roots(layout, "vae") == [
        base / "models/vae",
        Path("/big/vae"),
        linux.home / "pictures/vae",
    ]


def test_another_installation_has_nothing_to_do_with_the_desktop_program_s(linux: Machine) -> None:
    older(linux, linux.home / "Documents/ComfyUI")
    mine = directories(code(linux.home / "mine"), "models/loras")

    _, layout, _ = linux.found(comfyui_root=mine)

    assert roots(layout, "loras") == [mine / "models/loras", mine / "output/loras"]


# -- the newer desktop program


def newer(machine: Machine, name: str = "first", **record: object) -> Path:
    """Install it with shared models; return where the code of the install lies."""
    install = machine.home / "ComfyUI-Installs" / name
    tree = directories(code(install / "ComfyUI"), "models/loras", "user/default/workflows")
    shared = directories(machine.home / "ComfyUI-Shared", "models/loras", "output/loras")
    data = data_of(machine)
    known = json.loads((data / "installations.json").read_text()) if data.exists() else []
    entry = {"id": f"inst-{name}", "installPath": str(install), "sourceId": "standalone", **record}
    cloud = {"id": "cloud", "sourceId": "cloud"}
    write(data / "installations.json", [entry, *(known or [cloud])])
    write(
        data / "instance-model-paths" / f"inst-{name}.yaml",
        "comfy.desktop_0:\n"
        f"  base_path: '{shared}/models'\n"
        "  is_default: true\n"
        "  'loras': 'loras/'\n"
        "  'controlnet': |-\n    controlnet/\n    t2i_adapter/\n"
        "  'clip': 'clip/'\n"
        "comfy.desktop_1:\n"
        "  base_path: '/second/models'\n"
        "  'loras': 'loras/'\n",
    )
    return tree


def data_of(machine: Machine) -> Path:
    if machine.system == LINUX:
        return machine.home / ".local/share/comfyui-desktop-2"
    return machine.settings_of("Comfy Desktop")


def test_an_install_of_the_newer_desktop_program_has_the_models_that_all_installs_share(
    machine: Machine,
) -> None:
    tree = newer(machine)
    shared = machine.home / "ComfyUI-Shared"

    root, layout, workflows = machine.found()

    assert root == tree
    assert roots(layout, "loras") == [
        shared / "models/loras",
        tree / "models/loras",
        Path("/second/models/loras"),
        shared / "output/loras",
    ]
    assert layout.folders.folder("loras").write_root == shared / "models/loras"
    assert roots(layout, "text_encoders")[0] == shared / "models/clip"
    assert roots(layout, "controlnet")[:2] == [
        shared / "models/t2i_adapter",  # the last path read of a default section comes first
        shared / "models/controlnet",
    ]
    assert workflows == (tree / "user/default/workflows",)


def test_of_several_installs_the_one_that_was_started_last_is_found(linux: Machine) -> None:
    newer(linux, "a", lastLaunchedAt=1700000000000)
    recent = newer(linux, "z", lastLaunchedAt=1800000000000)

    assert linux.found()[0] == recent


def test_an_install_that_shares_nothing_keeps_to_itself(linux: Machine) -> None:
    tree = newer(
        linux, useSharedModels=False, useSharedOutput=False, outputDir=str(linux.home / "out")
    )
    (data_of(linux) / "instance-model-paths/inst-first.yaml").unlink()
    write(data_of(linux) / "shared_model_paths.yaml", "a:\n  loras: /shared/loras\n")

    _, layout, _ = linux.found()

    assert roots(layout, "loras") == [tree / "models/loras", linux.home / "out/loras"]


def test_the_one_file_of_older_versions_and_the_output_of_the_settings_count(
    linux: Machine,
) -> None:
    tree = newer(linux, useSharedPaths=True)
    (data_of(linux) / "instance-model-paths/inst-first.yaml").unlink()
    write(data_of(linux) / "shared_model_paths.yaml", "a:\n  loras: /shared/loras\n")
    write(linux.home / ".config/comfyui-desktop-2/settings.json", {"outputDir": "/pictures"})

    _, layout, _ = linux.found()

    assert roots(layout, "loras") == [
        tree / "models/loras",
        Path("/shared/loras"),
        Path("/pictures/loras"),
    ]


def test_an_install_that_took_over_an_older_one_has_its_base_directory(linux: Machine) -> None:
    base = older(linux, linux.home / "Documents/ComfyUI")
    tree = newer(
        linux,
        adoptedBaseDir=str(base),
        useSharedOutput=False,
        launchArgs=f"--port 8000 --output-directory '{linux.home}/my pictures' --enable-manager",
    )

    root, layout, workflows = linux.found()

    assert root == tree
    assert roots(layout, "vae") == [base / "models/vae", linux.home / "my pictures/vae"]
    assert workflows == (base / "user/default/workflows",)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '[{"id": 1}]', "[" * 100_000, '{"a": "\\ud800"}']
)
def test_files_of_the_desktop_programs_that_cannot_be_read_say_nothing(
    linux: Machine, content: str
) -> None:
    mine = code(linux.home / "ComfyUI")
    write(data_of(linux) / "installations.json", content)
    write(linux.home / ".config/ComfyUI/config.json", content)
    write(linux.home / ".config/StabilityMatrix/library.json", content)

    assert linux.found()[0] == mine


def test_directories_that_a_program_lists_and_nobody_made_are_no_news(linux: Machine) -> None:
    newer(linux)

    _, layout, _ = linux.found()

    assert Path("/second/models/loras") in layout.folders.assumed
    assert linux.home / "ComfyUI-Shared/output/vae" in layout.folders.assumed


# -- the server's own flags


def test_the_flags_of_the_settings_go_before_those_of_a_desktop_program(linux: Machine) -> None:
    newer(linux)
    extra = write(linux.home / "more.yaml", "mine:\n  loras: /mine/loras\n")

    _, layout, workflows = linux.found(
        comfyui__base_directory=linux.home / "base",
        comfyui__models_directory=linux.home / "models",
        comfyui__output_directory=linux.home / "output",
        comfyui__extra_model_paths=[extra],
    )

    assert roots(layout, "loras") == [
        linux.home / "ComfyUI-Shared/models/loras",
        linux.home / "models/loras",
        Path("/second/models/loras"),
        Path("/mine/loras"),
        linux.home / "output/loras",
    ]
    assert workflows == (linux.home / "base/user/default/workflows",)
