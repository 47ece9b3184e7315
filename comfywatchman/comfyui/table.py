"""ComfyUI's own folder table, before any configuration.

Source: ``folder_paths.py`` and ``main.py`` of ComfyUI 0.3.64 and later; the folders of the last
group are newer than 0.3.64 and harmless where the server does not know them.
"""

from __future__ import annotations

from collections.abc import Mapping

from comfywatchman.domain.files import CHECKPOINT_SUFFIXES

_ONE_DIRECTORY = (
    "checkpoints",
    "loras",
    "vae",
    "clip_vision",
    "style_models",
    "embeddings",
    "vae_approx",
    "gligen",
    "upscale_models",
    "hypernetworks",
    "photomaker",
    "model_patches",
    "audio_encoders",
    "latent_upscale_models",
    "background_removal",
    "frame_interpolation",
    "geometry_estimation",
    "optical_flow",
    "detection",
)

DIRECTORIES: Mapping[str, tuple[str, ...]] = {
    **{name: (name,) for name in _ONE_DIRECTORY},
    "text_encoders": ("text_encoders", "clip"),
    "diffusion_models": ("unet", "diffusion_models"),
    "controlnet": ("controlnet", "t2i_adapter"),
    "configs": ("configs",),
    "diffusers": ("diffusers",),
    "classifiers": ("classifiers",),
}
"""Folder name -> directories below ``models``, in the order in which ComfyUI looks."""

SUFFIXES: Mapping[str, frozenset[str]] = {
    "configs": frozenset({".yaml"}),
    # ComfyUI writes "folder" here: the entries are directories, whatever lies in them.
    "diffusers": frozenset(),
    "classifiers": frozenset({""}),
}
"""Where it is not `CHECKPOINT_SUFFIXES`; ``""`` stands for files without a suffix."""

OUTPUT_DIRECTORIES: Mapping[str, str] = {
    "checkpoints": "checkpoints",
    "text_encoders": "clip",
    "vae": "vae",
    "diffusion_models": "diffusion_models",
    "loras": "loras",
}
"""Folder name -> directory below ``output`` that ComfyUI appends: what save nodes write counts."""

NOT_MODELS = frozenset({"custom_nodes", "datasets", "fonts", "download_model_base"})
"""Keys of ``extra_model_paths.yaml`` and of the folder table that name no model folder."""

TYPE_WORDS: Mapping[str, str] = {
    "checkpoint": "checkpoints",
    "lora": "loras",
    "locon": "loras",
    "lycoris": "loras",
    "vaes": "vae",
    "clip_visions": "clip_vision",
    "style_model": "style_models",
    "embedding": "embeddings",
    "textual_inversion": "embeddings",
    "upscaler": "upscale_models",
    "upscale_model": "upscale_models",
    "hypernetwork": "hypernetworks",
    "model_patch": "model_patches",
    "audio_encoder": "audio_encoders",
    "text_encoder": "text_encoders",
    "diffusion_model": "diffusion_models",
    "control_net": "controlnet",
    "controlnets": "controlnet",
    "t2i_adapter": "controlnet",
    "latent_upscale_model": "latent_upscale_models",
}
"""What people write as ``type`` in ``model_directories`` besides folder names."""


def suffixes(name: str) -> frozenset[str]:
    return SUFFIXES.get(name, CHECKPOINT_SUFFIXES)
