"""What is laid over a model: LoRA and its kin, ControlNet, IP-Adapter, embeddings, motion.

Source of the signs: ComfyUI, ``comfy/lora.py``, ``comfy/weight_adapter``, ``comfy/controlnet.py``,
``comfy/sd1_clip.py`` (embeddings), ``comfy/sd.py`` (style models, GLIGEN).
"""

from __future__ import annotations

from comfywatchman.inspect.identity import UNKNOWN, Identity, Sign, Tensors, first

_CONTROL: tuple[Sign, ...] = (
    Sign("hunyuan-dit", ("after_proj_list.18.bias",)),
    Sign("control-lora", ("lora_controlnet",)),
    Sign("flux", ("controlnet_blocks.0.weight", "double_blocks.0.img_attn.norm.key_norm.scale")),
    Sign("sd3", ("controlnet_blocks.0.weight", "pos_embed_input.proj.weight")),
    Sign("qwen-image", ("controlnet_blocks.0.weight",
                        "transformer_blocks.0.img_mlp.net.0.proj.weight")),
    Sign("flux", ("controlnet_blocks.0.weight", "controlnet_x_embedder.weight")),
    Sign("qwen-image", ("control_blocks.0.after_proj.weight", "control_img_in.weight")),
    Sign("z-image", ("control_all_x_embedder.2-1.weight",)),
    Sign("z-image", ("control_layers.0.adaLN_modulation.0.weight",)),
    Sign("flux", ("controlnet_blocks.0.linear.weight",)),
)  # fmt: skip
"""Control nets whose name for themselves tells what they belong to."""

_CONTEXTS = {768: "sd1", 1024: "sd2", 2048: "sdxl"}

_STYLES: tuple[Sign, ...] = (
    Sign("sd1", ("style_embedding",)),
    Sign("flux", ("redux_down.weight",)),
)

_EMBEDDING_WIDTHS = {768: "sd1", 1024: "sd2", 1280: "clip-g", 2048: "sdxl", 4096: "t5-xxl"}
_MOST_EMBEDDED = 16


def control(every: Tensors) -> Identity | None:
    """Return which ControlNet, T2I-Adapter or LLLite the tensors are, or ``None``."""
    sign = first(_CONTROL, every)
    if sign is not None:
        return Identity("controlnet", sign.architecture, evidence=sign.evidence(every))
    for prefix in ("control_model.", ""):
        inside = every.below(prefix)
        for key in ("zero_convs.0.0.weight", "controlnet_cond_embedding.conv_in.weight"):
            if key in inside:
                return Identity(
                    "controlnet",
                    _attended(inside),
                    "union" if "task_embedding" in inside else None,
                    evidence=inside.told(key),
                )
    if every.any_starts("lllite_unet"):
        return Identity("controlnet", "sdxl", "LLLite", evidence=("names begin with lllite_unet",))
    for key in ("body.0.in_conv.weight", "adapter.body.0.resnets.0.block1.weight"):
        if key in every:
            return Identity("t2i-adapter", evidence=every.told(key))
    return None


def _attended(tensors: Tensors) -> str:
    """Return the architecture by the width of the text that its attention takes."""
    for name in tensors:
        if name.endswith(".transformer_blocks.0.attn2.to_k.weight"):
            return _CONTEXTS.get(tensors.size(name, 1) or 0, UNKNOWN)
    return UNKNOWN


def other(every: Tensors) -> Identity | None:
    """Return which of the rarer adapters the tensors are, or ``None``."""
    style = first(_STYLES, every)
    if style is not None:
        return Identity("style-model", style.architecture, evidence=style.evidence(every))
    if every.any_starts("ip_adapter.", "image_proj."):
        return _ip_adapter(every)
    if any(".motion_modules." in name for name in every):
        name = next(name for name in every if ".motion_modules." in name)
        return Identity("motion-module", "sd1-or-sdxl", evidence=every.told(name))
    if any("position_net" in name for name in every):
        name = next(name for name in every if "position_net" in name)
        return Identity("gligen", "sd1", evidence=every.told(name))
    if every.any_starts("pulid_encoder", "pulid_ca"):
        return Identity("ip-adapter", "flux", "PuLID", evidence=("names begin with pulid_",))
    return None


def _ip_adapter(every: Tensors) -> Identity:
    widths = {768: "sd1", 1024: "sd2", 2048: "sdxl", 4096: "flux"}
    for name in every:
        if name.endswith((".to_k_ip.weight", ".ip_adapter_double_stream_k_proj.weight")):
            width = every.size(name, 1) or 0
            return Identity("ip-adapter", widths.get(width, UNKNOWN), evidence=every.told(name))
    name = next(name for name in every if name.startswith(("ip_adapter.", "image_proj.")))
    return Identity("ip-adapter", evidence=every.told(name))


def embedding(every: Tensors) -> Identity | None:
    """Return which embedding (textual inversion) the tensors are, or ``None``."""
    if not 0 < len(every) <= _MOST_EMBEDDED:
        return None
    flat = [name for name in every if every.rank(name) in {1, 2}]
    if len(flat) != len(every):
        return None
    if {"clip_l", "clip_g"} <= set(every):
        return Identity("embedding", "sdxl", evidence=every.told("clip_l", "clip_g"))
    named = [
        name
        for name in every
        if name in {"emb_params", "clip_l", "clip_g", "t5xxl"} or name.startswith("string_to_param")
    ]
    if not named:
        # diffusers saves {"<token>": vector}, and nothing else.
        named = [name for name in every if name.startswith("<") and name.endswith(">")]
    if not named:
        return None
    width = every.size(named[0], -1) or 0
    architecture = _EMBEDDING_WIDTHS.get(width, UNKNOWN)
    vectors = every.size(named[0], 0) if every.rank(named[0]) == 2 else 1
    return Identity("embedding", architecture, f"{vectors} vectors", evidence=every.told(named[0]))
