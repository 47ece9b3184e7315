"""What the metadata of a file says it is: ModelSpec, kohya's keys, GGUF's architecture.

Source: Stability AI's ModelSpec 1.0.1; kohya sd-scripts, ``sai_model_spec.py`` and
``train_util.py``; ComfyUI-GGUF, ``loader.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from comfywatchman.inspect.identity import UNKNOWN, Identity

_SPECS: tuple[tuple[str, str], ...] = (
    ("stable-diffusion-xl-v1-refiner", "sdxl-refiner"),
    ("stable-diffusion-xl-v1-edit", "sdxl"),
    ("stable-diffusion-xl", "sdxl"),
    ("stable-diffusion-v1", "sd1"),
    ("stable-diffusion-v2", "sd2"),
    ("stable-diffusion-v3", "sd3"),
    ("stable-diffusion-3", "sd3"),
    ("stable-video-diffusion", "svd"),
    ("stable-cascade", "stable-cascade"),
    ("flux-2", "flux2"),
    ("flux.2", "flux2"),
    ("flux-1", "flux"),
    ("flux.1", "flux"),
    ("chroma", "chroma"),
    ("lumina", "lumina2"),
    ("hunyuan-image", "hunyuan-video"),
    ("hunyuanvideo", "hunyuan-video"),
    ("hunyuan-video", "hunyuan-video"),
    ("wan", "wan"),
    ("qwen-image", "qwen-image"),
    ("z-image", "z-image"),
    ("anima", "anima"),
    ("ltx-video", "ltxv"),
    ("aura-flow", "auraflow"),
)
"""How ``modelspec.architecture`` begins, the longer beginning first."""

_ADAPTERS = {
    "lora": "lora",
    "textual-inversion": "embedding",
    "controlnet": "controlnet",
    "control-net-lllite": "controlnet",
    "vae": "vae",
    "text-encoder": "text-encoder",
    "hypernetwork": "hypernetwork",
}

_KOHYA: tuple[tuple[str, str], ...] = (
    ("sdxl", "sdxl"),
    ("sd_v1", "sd1"),
    ("sd_v2", "sd2"),
    ("sd_1.5", "sd1"),
    ("sd1", "sd1"),
    ("sd3", "sd3"),
    ("flux2", "flux2"),
    ("flux", "flux"),
    ("chroma", "chroma"),
    ("lumina", "lumina2"),
    ("hunyuan_video", "hunyuan-video"),
    ("hunyuan_image", "hunyuan-video"),
    ("hunyuan", "hunyuan-video"),
    ("wan", "wan"),
    ("qwen_image", "qwen-image"),
    ("qwen", "qwen-image"),
    ("zimage", "z-image"),
    ("z_image", "z-image"),
    ("anima", "anima"),
    ("ltx", "ltxv"),
    ("pony", "sdxl"),
)
"""How ``ss_base_model_version`` begins."""

_GGUF = {
    "flux": "flux", "sd1": "sd1", "sdxl": "sdxl", "sd3": "sd3", "aura": "auraflow",
    "hidream": "hidream", "cosmos": "cosmos", "ltxv": "ltxv", "hyvid": "hunyuan-video",
    "wan": "wan", "lumina2": "lumina2", "qwen_image": "qwen-image", "chroma": "chroma",
}  # fmt: skip


def labeled(metadata: Mapping[str, str]) -> Identity:
    """Return what the metadata says; each part `UNKNOWN` where it says nothing."""
    found = Identity()
    spec = metadata.get("modelspec.architecture", "").strip()
    if spec:
        base, _, adapter = spec.lower().partition("/")
        found = replace(
            found,
            architecture=_begins(base, _SPECS),
            kind=_ADAPTERS.get(adapter, UNKNOWN),
            evidence=(*found.evidence, f"modelspec.architecture is {spec[:100]}"),
        )
    trained = metadata.get("ss_base_model_version", "").strip()
    if trained:
        told = _begins(trained.lower(), _KOHYA)
        architecture = found.architecture if found.architecture != UNKNOWN else told
        evidence = (*found.evidence, f"ss_base_model_version is {trained[:100]}")
        found = replace(found, architecture=architecture, evidence=evidence)
    if "ss_network_module" in metadata and found.kind == UNKNOWN:
        module = metadata["ss_network_module"]
        evidence = (*found.evidence, f"ss_network_module is {module[:100]}")
        found = replace(found, kind="lora", evidence=evidence)
    return found


def named(architecture: str) -> Identity | None:
    """Return what ``general.architecture`` of a GGUF file says, if it is a diffusion model."""
    if architecture not in _GGUF:
        return None
    told = (f"general.architecture is {architecture}",)
    return Identity("diffusion-model", _GGUF[architecture], evidence=told)


def _begins(text: str, table: tuple[tuple[str, str], ...]) -> str:
    return next((name for start, name in table if text.startswith(start)), UNKNOWN)
