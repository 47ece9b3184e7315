"""Command lines as ComfyUI takes them."""

from __future__ import annotations

import pytest

from comfywatchman.cli.options import as_comfyui_takes_them

FLAG = "--extra-model-paths-config"


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (f"{FLAG} a.yaml b.yml", f"{FLAG} a.yaml {FLAG} b.yml"),
        (f"{FLAG} a.yaml analyze w.json", f"{FLAG} a.yaml analyze w.json"),
        (f"analyze {FLAG} a.yaml w.json b.yaml", f"analyze {FLAG} a.yaml w.json b.yaml"),
        (f"{FLAG} odd {FLAG} b.YAML c.YAML", f"{FLAG} odd {FLAG} b.YAML {FLAG} c.YAML"),
        (f"{FLAG} a.yaml --json b.yaml", f"{FLAG} a.yaml --json b.yaml"),
        (f"analyze b.yaml {FLAG}", f"analyze b.yaml {FLAG}"),
        ("analyze a.yaml b.yaml", "analyze a.yaml b.yaml"),
        ("", ""),
    ],
)
def test_several_files_after_one_flag_are_taken_and_nothing_else(given: str, taken: str) -> None:
    assert as_comfyui_takes_them(given.split()) == taken.split()
