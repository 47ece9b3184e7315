"""Which folder a file belongs in, from what a hub says about it: yes, no, or nobody knows.

Sources: Civitai's model and file types (its server, 2026-08); the directories that ComfyUI's own
repositories on Hugging Face use for split models.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

_NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Belongs:
    """The folders a file is made for; the default says that nobody knows."""

    surely: frozenset[str] = _NOTHING
    perhaps: frozenset[str] | None = None
    """``None``: any other folder as well."""
    why: str = ""
    """What the source calls it, for a sentence."""

    def fits(self, folder: str) -> bool | None:
        """Say whether the file belongs in *folder*; ``None`` where nobody knows."""
        if folder in self.surely:
            return True
        if not folder:
            return None  # a person asks who has not said where it goes
        if self.perhaps is None or folder in self.perhaps:
            return None
        return False


UNKNOWN = Belongs()

_LORAS = frozenset({"loras"})
_DETECTORS = frozenset({"ultralytics", "ultralytics/bbox", "ultralytics/segm"})

_MODEL_TYPES: dict[str, frozenset[str]] = {
    "Checkpoint": frozenset({"checkpoints"}),
    "TextualInversion": frozenset({"embeddings"}),
    "Hypernetwork": frozenset({"hypernetworks"}),
    "LORA": _LORAS,
    "LoCon": _LORAS,
    "DoRA": _LORAS,
    "Controlnet": frozenset({"controlnet"}),
    "Upscaler": frozenset({"upscale_models"}),
    "MotionModule": frozenset({"animatediff_models"}),
    "VAE": frozenset({"vae"}),
    "TextEncoder": frozenset({"text_encoders"}),
    "CLIP": frozenset({"text_encoders"}),
    "UNet": frozenset({"diffusion_models"}),
    "CLIPVision": frozenset({"clip_vision"}),
    "Detection": _DETECTORS,
    "Poses": _NOTHING,
    "Wildcards": _NOTHING,
    "Workflows": _NOTHING,
    "ComfyWorkflows": _NOTHING,
}
_FILE_TYPES: dict[str, frozenset[str]] = {
    "VAE": frozenset({"vae"}),
    "Text Encoder": frozenset({"text_encoders"}),
    "Vision Encoder": frozenset({"clip_vision"}),
    "CLIPVision": frozenset({"clip_vision"}),
    "UNet": frozenset({"diffusion_models"}),
    "Diffusion Model": frozenset({"diffusion_models"}),
    "ControlNet": frozenset({"controlnet"}),
    "Upscaler": frozenset({"upscale_models"}),
    "Negative": frozenset({"embeddings"}),
    "Enhancement LoRA": _LORAS,
    "Training Data": _NOTHING,
    "Archive": _NOTHING,
    "Config": _NOTHING,
    "Workflow": _NOTHING,
}
"""The type of the file outranks that of its model."""
_OF_ITS_MODEL = frozenset({"Model", "Pruned Model"})

_PERHAPS: dict[str, frozenset[str]] = {
    # Before the file types were there, diffusion models were uploaded as checkpoints.
    "Checkpoint": frozenset({"diffusion_models"}),
    "LORA": frozenset({"animatediff_motion_lora", "model_patches"}),
    "Controlnet": frozenset({"model_patches", "ipadapter", "style_models", "gligen"}),
    "Upscaler": frozenset({"latent_upscale_models"}),
    "MotionModule": frozenset({"animatediff_motion_lora"}),
    "VAE": frozenset({"vae_approx"}),
    "UNet": frozenset({"unet_gguf"}),
    "Detection": frozenset({"sams", "detection"}),
}

OLD_TYPES: dict[str, tuple[str, ...]] = {
    "checkpoints": ("Checkpoint",),
    "loras": ("LORA", "LoCon", "DoRA"),
    "embeddings": ("TextualInversion",),
    "hypernetworks": ("Hypernetwork",),
    "controlnet": ("Controlnet",),
    "upscale_models": ("Upscaler",),
    "animatediff_models": ("MotionModule",),
}
"""Model types to search for a folder; a type that the site does not know is an error there, so only
old ones stand here, and only for folders whose files are never uploaded with other models."""


def of_civitai(model_type: str, file_type: str, format_: str | None = None) -> Belongs:
    """Say where a file of Civitai belongs, from the types that the hub gives."""
    why = f"type {model_type} / {file_type}"
    if file_type in _FILE_TYPES:
        return Belongs(_FILE_TYPES[file_type], _NOTHING, why)
    if file_type not in _OF_ITS_MODEL or model_type not in _MODEL_TYPES:
        return Belongs(why=why)
    if model_type == "Checkpoint" and format_ == "GGUF":
        # There is no loader of whole checkpoints in this format.
        return Belongs(frozenset({"diffusion_models"}), frozenset({"text_encoders"}), why)
    return Belongs(_MODEL_TYPES[model_type], _PERHAPS.get(model_type, _NOTHING), why)


_DIRECTORIES: dict[str, str] = {
    "vae": "vae",
    "vaes": "vae",
    "text_encoder": "text_encoders",
    "text_encoders": "text_encoders",
    "text_encoder_2": "text_encoders",
    "text_encoder_3": "text_encoders",
    "clip": "text_encoders",
    "diffusion_model": "diffusion_models",
    "diffusion_models": "diffusion_models",
    "unet": "diffusion_models",
    "transformer": "diffusion_models",
    "lora": "loras",
    "loras": "loras",
    "controlnet": "controlnet",
    "controlnets": "controlnet",
    "checkpoint": "checkpoints",
    "checkpoints": "checkpoints",
    "clip_vision": "clip_vision",
    "image_encoder": "clip_vision",
    "upscale_models": "upscale_models",
    "latent_upscale_models": "latent_upscale_models",
    "embeddings": "embeddings",
    "style_models": "style_models",
    "model_patches": "model_patches",
    "audio_encoders": "audio_encoders",
    "hypernetworks": "hypernetworks",
    "gligen": "gligen",
    "ipadapter": "ipadapter",
    "vae_approx": "vae_approx",
    "geometry_estimation": "geometry_estimation",
    "background_removal": "background_removal",
    "frame_interpolation": "frame_interpolation",
    "optical_flow": "optical_flow",
    "detection": "detection",
}
_WORDS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"_(loras?|locon|lokr|loha|dora)_"), "loras"),
    (re.compile(r"controlnet|_control_(?:v\d|lora)_"), "controlnet"),
    (re.compile(r"clip_vision"), "clip_vision"),
    (re.compile(r"text_encoder|_(?:u?mt5|t5)_?(?:v1_1_)?xxl|_t5xxl|_clip_[lg]_"), "text_encoders"),
    (re.compile(r"_vae_"), "vae"),
)
_OF_LANGUAGE = re.compile(r"encoder|_(?:u?mt5|t5|t5xxl|clip|mmproj|llama|gemma|instruct|vl)_|_vl\d")


def of_path(repository: str, path: str) -> Belongs:
    """Say where a file of a repository belongs: by its directory, its name, the repository's name.

    The directory decides; the others are asked in turn where it says nothing.
    """
    place = PurePosixPath(path)
    for directory in reversed(place.parent.parts):
        folder = _DIRECTORIES.get(directory.lower())
        if folder is not None:
            return Belongs(frozenset({folder}), _NOTHING, f"directory {directory}")
    words = _spelled(place.stem)
    if place.suffix.lower() == ".gguf":
        folder = "text_encoders" if _OF_LANGUAGE.search(words) else "diffusion_models"
        return Belongs(frozenset({folder}), _NOTHING, "name of a GGUF file")
    title = _spelled(repository.rpartition("/")[2])
    for text, why in ((words, "file name"), (title, "repository")):
        folders = {folder for pattern, folder in _WORDS if pattern.search(text)}
        if len(folders) == 1:
            return Belongs(frozenset(folders), None, why)
    return UNKNOWN


def _spelled(text: str) -> str:
    """Return the words of *text* in lower case with one ``_`` around each."""
    return f"_{re.sub('[^a-z0-9]+', '_', text.lower()).strip('_')}_"
