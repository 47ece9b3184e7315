from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from comfywatchman.comfyui import Layout, read_layout
from comfywatchman.domain.errors import ComfyUINotFound
from comfywatchman.domain.files import CHECKPOINT_SUFFIXES, MODEL_SUFFIXES

CAPTURES = Path(__file__).parents[3] / "shared" / "comfyui-captures"

Write = Callable[[str], Path]


@pytest.fixture
def comfyui(tmp_path: Path) -> Path:
    root = tmp_path / "ComfyUI"
    (root / "models").mkdir(parents=True)
    return root


def roots(layout: Layout, name: str) -> list[Path]:
    return list(layout.folders.folder(name).roots)


def with_extra(root: Path, text: str) -> Layout:
    (root / "extra_model_paths.yaml").write_text(text, encoding="utf-8")
    return read_layout(root)


def test_a_plain_tree_has_every_folder_of_comfyui_in_its_order(comfyui: Path) -> None:
    layout = read_layout(comfyui)

    models, output = comfyui / "models", comfyui / "output"
    assert roots(layout, "loras") == [models / "loras", output / "loras"]
    assert roots(layout, "diffusion_models") == [
        models / "unet",
        models / "diffusion_models",
        output / "diffusion_models",
    ]
    assert roots(layout, "text_encoders") == [
        models / "text_encoders",
        models / "clip",
        output / "clip",
    ]
    assert roots(layout, "controlnet") == [models / "controlnet", models / "t2i_adapter"]
    assert layout.troubles == ()


@pytest.mark.shared
@pytest.mark.skipif(not CAPTURES.is_dir(), reason="the captures of the team are not here")
def test_the_table_is_the_one_a_real_server_answered(comfyui: Path) -> None:
    captured = json.loads((CAPTURES / "internal_folder_paths.json").read_text())["body"]

    layout = read_layout(comfyui)

    for name, paths in captured.items():
        if name != "custom_nodes":
            here = [path.replace("/home/user/ComfyUI", str(comfyui)) for path in paths]
            assert [str(root) for root in roots(layout, name)] == here


@pytest.mark.parametrize(
    ("folder", "suffixes"),
    [
        ("checkpoints", CHECKPOINT_SUFFIXES),
        ("latent_upscale_models", CHECKPOINT_SUFFIXES),
        ("configs", {".yaml"}),
        ("classifiers", {""}),
        ("diffusers", set()),  # its entries are directories
        ("ipadapter", MODEL_SUFFIXES),  # no table of ComfyUI has it
    ],
)
def test_each_folder_lists_its_own_suffixes(
    comfyui: Path, folder: str, suffixes: frozenset[str]
) -> None:
    assert read_layout(comfyui).folders.folder(folder).suffixes == suffixes


@pytest.mark.parametrize(
    ("name", "directory"),
    [
        ("unet", "diffusion_models"),
        ("clip", "text_encoders"),
        ("unet_gguf", "diffusion_models"),
        ("controlnet", "controlnet"),
        ("ultralytics/bbox", "ultralytics/bbox"),
        ("ultralytics_bbox", "ultralytics/bbox"),
        ("sams", "sams"),
    ],
)
def test_a_new_file_goes_to_the_directory_that_templates_name(
    comfyui: Path, name: str, directory: str
) -> None:
    folder = read_layout(comfyui).folders.folder(name)

    assert folder.write_root == comfyui / "models" / directory


def test_a_new_file_goes_to_the_first_directory_as_comfyui_has_it_where_that_is_there(
    comfyui: Path,
) -> None:
    (comfyui / "models/unet").mkdir(parents=True)
    (comfyui / "models/clip").mkdir()

    folders = read_layout(comfyui).folders

    assert folders.folder("diffusion_models").write_root == comfyui / "models/unet"
    assert folders.folder("text_encoders").write_root == comfyui / "models/text_encoders"


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("a:\n\tloras: x\n", 2, "no valid YAML"),
        ("a:\n  vae: y\n  loras: [x, y]\n", 3, "'loras' of section 'a' is no text"),
        ("a:\n  base_path: 5\n  loras: x\n", 2, "base_path of section 'a' is no text"),
        ("a:\n  loras: >\n    one\n    two\n", 2, "are joined to one path, 'one two'"),
        ("a:\n  loras: one\n    two\n", 2, "are joined to one path, 'one two'"),
        ("\na: x\n", 2, "section 'a' holds no keys"),
    ],
)
def test_what_is_wrong_in_the_extra_file_is_told_with_its_line(
    comfyui: Path, text: str, line: int, word: str
) -> None:
    file = comfyui / "extra_model_paths.yaml"
    file.write_text(text)

    (told,) = read_layout(comfyui).troubles

    assert told.cause.startswith(f"{file}, line {line}: ")
    assert word in told.cause
    assert told.remedy


def test_lines_behind_a_bar_are_paths_and_a_blank_in_one_is_no_mistake(comfyui: Path) -> None:
    layout = with_extra(comfyui, "a:\n  loras: |\n    one two\n    three\n  vae: my vae\n")

    assert layout.troubles == ()


def test_a_default_section_takes_new_files_and_the_last_path_read_comes_first(
    comfyui: Path,
) -> None:
    layout = with_extra(
        comfyui,
        """
        big_disk:
            base_path: /mnt/big
            is_default: true
            diffusion_models: |
                unet
                diffusion
            loras: loras
        """,
    )

    folder = layout.folders.folder("diffusion_models")
    assert folder.roots[:2] == (Path("/mnt/big/diffusion"), Path("/mnt/big/unet"))
    assert folder.write_root == Path("/mnt/big/diffusion")
    assert roots(layout, "loras")[0] == Path("/mnt/big/loras")


def test_other_sections_come_after_the_built_in_directories_and_before_output(
    comfyui: Path,
) -> None:
    layout = with_extra(
        comfyui,
        """
        a111:
            base_path: ../webui
            checkpoints: models/Stable-diffusion
            vae: models/VAE/
        nothing:
        """,
    )

    webui = comfyui.parent / "webui"
    assert roots(layout, "checkpoints") == [
        comfyui / "models" / "checkpoints",
        webui / "models" / "Stable-diffusion",
        comfyui / "output" / "checkpoints",
    ]
    assert webui / "models" / "VAE" in roots(layout, "vae")
    assert layout.folders.folder("checkpoints").write_root == comfyui / "models" / "checkpoints"


def test_a_path_without_base_is_relative_to_the_file_and_legacy_names_are_mapped(
    comfyui: Path, tmp_path: Path
) -> None:
    extra = tmp_path / "conf" / "more.yaml"
    extra.parent.mkdir()
    extra.write_text("s:\n  clip: |\n    encoders\n\n    /abs/./encoders\n  faces: faces\n")

    layout = read_layout(comfyui, extra_files=[extra])

    assert roots(layout, "text_encoders")[2:4] == [
        tmp_path / "conf" / "encoders",
        Path("/abs/encoders"),
    ]
    assert roots(layout, "faces") == [tmp_path / "conf" / "faces"]
    assert layout.folders.folder("faces").suffixes == MODEL_SUFFIXES


def test_home_and_variables_are_expanded_in_base_path(
    comfyui: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/user")
    monkeypatch.setenv("DISK", "big")

    layout = with_extra(comfyui, "a:\n  base_path: ~/$DISK\n  loras: x\n")

    assert Path("/home/user/big/x") in roots(layout, "loras")


def test_the_same_path_is_not_listed_twice_and_a_default_moves_it_to_the_front(
    comfyui: Path,
) -> None:
    layout = with_extra(
        comfyui,
        "a:\n  loras: models/loras\nb:\n  is_default: 'false'\n  diffusion_models: "
        "models/diffusion_models\n",
    )

    models = comfyui / "models"
    assert roots(layout, "loras").count(models / "loras") == 1
    # A quoted "false" is a true value: ComfyUI reads it so.
    assert roots(layout, "diffusion_models")[:2] == [models / "diffusion_models", models / "unet"]


def test_the_download_base_of_the_manager_takes_new_files(comfyui: Path) -> None:
    layout = with_extra(
        comfyui,
        "d:\n  base_path: /mnt/big\n  download_model_base: models\n  loras: models/loras\n"
        "  custom_nodes: nodes\n",
    )

    assert layout.folders.folder("loras").write_root == Path("/mnt/big/models/loras")
    assert layout.folders.folder("vae").write_root == comfyui / "models" / "vae"
    assert "custom_nodes" not in layout.folders.table


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [1\n", "no valid YAML"),
        ("- a\n- b\n", "no sections"),
        ("a: text\n", "'a' holds no keys"),
        ("a:\n  loras:\n    - one\n    - two\n", "'loras'"),
        ("a:\n  loras:\n", "'loras'"),
        ("a:\n  2: x\n", "2 of section"),
        ("a:\n  base_path: [x]\n  loras: x\n", "base_path"),
        ("a: !!python/object/apply:os.system [x]\n", "no valid YAML"),
    ],
)
def test_what_is_wrong_in_the_file_is_told_and_the_rest_goes_on(
    comfyui: Path, text: str, told: str
) -> None:
    layout = with_extra(comfyui, text)

    assert [told in trouble.cause for trouble in layout.troubles] == [True]
    assert "extra_model_paths.yaml" in layout.troubles[0].cause
    assert comfyui / "models" / "loras" in roots(layout, "loras")


def test_good_lines_beside_a_bad_one_are_used(comfyui: Path) -> None:
    layout = with_extra(comfyui, "a:\n  loras: [x]\n  vae: /mnt/vae\nb: 3\nc:\n  vae: /mnt/v2\n")

    assert len(layout.troubles) == 2
    assert {Path("/mnt/vae"), Path("/mnt/v2")} <= set(roots(layout, "vae"))


def test_an_extra_file_that_is_not_there_is_told(comfyui: Path, tmp_path: Path) -> None:
    layout = read_layout(comfyui, extra_files=[tmp_path / "absent.yaml"])

    assert [trouble.code for trouble in layout.troubles] == ["settings-invalid"]


@pytest.mark.parametrize(
    ("kind", "folder"),
    [
        ("lora", "loras"),
        ("loras", "loras"),
        ("LoRA", "loras"),
        ("Checkpoint", "checkpoints"),
        ("text encoder", "text_encoders"),
        ("unet", "diffusion_models"),
        ("ipadapter", "ipadapter"),
        ("ultralytics/bbox", "ultralytics/bbox"),
    ],
)
def test_a_model_directory_of_the_settings_comes_last_in_its_folder(
    comfyui: Path, kind: str, folder: str
) -> None:
    layout = read_layout(comfyui, model_directories=[(kind, Path("models/adapters"))])

    assert roots(layout, folder)[-1] == comfyui / "models" / "adapters"


def test_a_type_that_is_no_folder_name_is_told(comfyui: Path) -> None:
    layout = read_layout(comfyui, model_directories=[("../x", Path("y")), (" ", Path("z"))])

    assert len(layout.troubles) == 2


def test_the_flags_of_the_server_move_the_tree_but_not_the_extra_file(
    comfyui: Path, tmp_path: Path
) -> None:
    (comfyui / "extra_model_paths.yaml").write_text("a:\n  vae: here\n")

    layout = read_layout(
        comfyui,
        base_directory=tmp_path / "base",
        models_directory=tmp_path / "models",
        output_directory=tmp_path / "out",
    )

    assert roots(layout, "vae") == [
        tmp_path / "models" / "vae",
        comfyui / "here",
        tmp_path / "out" / "vae",
    ]
    assert read_layout(comfyui, base_directory=tmp_path).folders.models_root == tmp_path / "models"


def test_links_keep_the_spelling_of_the_user(comfyui: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (comfyui / "models" / "loras").symlink_to(tmp_path / "disk")

    assert roots(read_layout(comfyui), "loras")[0] == comfyui / "models" / "loras"


def test_a_root_that_is_gone_is_an_error_that_may_pass(tmp_path: Path) -> None:
    with pytest.raises(ComfyUINotFound) as raised:
        read_layout(tmp_path / "unmounted")

    assert raised.value.retryable


def test_a_file_has_a_name_in_every_folder_that_lists_it(comfyui: Path) -> None:
    layout = read_layout(
        comfyui, model_directories=[("lora", Path("models")), ("lora", Path("models/loras/sdxl"))]
    )

    named = layout.folders.named(comfyui / "models" / "loras" / "sdxl" / "x.safetensors")

    assert list(named) == [
        ("loras", "sdxl/x.safetensors"),
        ("loras", "loras/sdxl/x.safetensors"),
        ("loras", "x.safetensors"),
    ]


def test_a_file_in_a_directory_of_a_pack_is_named_as_the_pack_names_it(comfyui: Path) -> None:
    folders = read_layout(comfyui).folders

    face = comfyui / "models" / "ultralytics" / "bbox" / "face.pt"
    assert list(folders.named(face)) == [
        ("ultralytics", "bbox/face.pt"),
        ("ultralytics/bbox", "face.pt"),
    ]
    assert list(folders.named(comfyui / "models" / "loose.pt")) == []


def test_roots_name_every_tree_once(comfyui: Path) -> None:
    layout = with_extra(comfyui, "a:\n  loras: /mnt/big/loras\n  vae: /mnt/big/loras/vae\n")

    found = layout.folders.roots()

    assert comfyui / "models" in found
    assert Path("/mnt/big/loras") in found
    assert Path("/mnt/big/loras/vae") not in found
    assert comfyui / "models" / "loras" not in found
