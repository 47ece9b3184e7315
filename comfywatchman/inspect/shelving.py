"""Whether a file lies in a folder of ComfyUI that is for models of its kind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath

_FOLDERS: Mapping[str, tuple[str, ...]] = {
    "lora": ("loras",),
    "checkpoint": ("checkpoints",),
    "diffusion-model": ("diffusion_models", "unet", "checkpoints"),
    "text-encoder": ("text_encoders", "clip"),
    "vae": ("vae",),
    "controlnet": ("controlnet", "t2i_adapter"),
    "embedding": ("embeddings",),
    "upscaler": ("upscale_models",),
}
"""Kind -> directories that are for it, the usual one first; some diffusion models are loaded as
checkpoints. Other kinds may lie in folders of other nodes."""

_EVERY = frozenset(name for names in _FOLDERS.values() for name in names)


def misplaced(path: PurePath, kind: str) -> str | None:
    """Say that *path* lies in a folder for another kind; ``None`` where it does not, or may not."""
    own = _FOLDERS.get(kind)
    lies_in = next((part for part in reversed(path.parts[:-1]) if part in _EVERY), None)
    if own is None or lies_in is None or lies_in in own:
        return None
    return f"it lies in {lies_in}, where loaders expect something else; {own[0]} is for its kind"
