from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from comfywatchman.inspect.shelving import misplaced


@pytest.mark.parametrize(
    ("path", "kind", "folder"),
    [
        ("/m/checkpoints/a.safetensors", "lora", "loras"),
        ("/m/loras/deep/a.safetensors", "vae", "vae"),
        ("/m/loras/a.safetensors", "lora", None),
        ("/m/checkpoints/loras/a.safetensors", "lora", None),
        ("/m/checkpoints/a.safetensors", "diffusion-model", None),
        ("/m/ipadapter/a.safetensors", "lora", None),  # a folder of some other node
        ("/m/loras/a.safetensors", "unknown", None),
    ],
)
def test_a_file_in_a_folder_for_another_kind_is_told(
    path: str, kind: str, folder: str | None
) -> None:
    said = misplaced(PurePosixPath(path), kind)

    assert (said is None) == (folder is None)
    assert folder is None or f"{folder} is for its kind" in str(said)
