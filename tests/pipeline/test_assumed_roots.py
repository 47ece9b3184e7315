"""Directories that a program adds by itself need not be there."""

from __future__ import annotations

from pathlib import Path

from comfywatchman.comfyui import read_layout
from comfywatchman.pipeline.sweeping import trees


def optional(root: Path, **given: object) -> dict[Path, bool]:
    folders = read_layout(root, **given).folders  # type: ignore[arg-type]  # as each test gives them
    return {tree.root: tree.optional for tree in trees([], folders)}


def test_an_output_directory_on_another_drive_need_not_have_a_directory_for_models(
    tmp_path: Path,
) -> None:
    found = optional(tmp_path, output_directory=tmp_path.parent / "pictures")

    assert found[tmp_path.parent / "pictures/loras"]
    assert not found[tmp_path / "models"]


def test_what_a_program_lists_need_not_be_there_but_what_a_person_lists_should(
    tmp_path: Path,
) -> None:
    for name in ("written", "mine"):
        (tmp_path / f"{name}.yaml").write_text(f"a:\n  loras: /{name}/loras\n")

    found = optional(
        tmp_path,
        generated_files=[tmp_path / "written.yaml"],
        extra_files=[tmp_path / "mine.yaml"],
    )

    assert found[Path("/written/loras")]
    assert not found[Path("/mine/loras")]


def test_a_file_that_a_program_wrote_and_a_person_names_too_is_read_once(tmp_path: Path) -> None:
    file = tmp_path / "both.yaml"
    file.write_text("a:\n  is_default: true\n  loras: |\n    /one\n    /two\n")

    folders = read_layout(tmp_path, generated_files=[file], extra_files=[file]).folders

    assert folders.folder("loras").roots[:2] == (Path("/two"), Path("/one"))
