"""Which kind of LoRA the tensors are, and which model it is laid over.

Source of the signs: ComfyUI, ``comfy/lora.py`` and ``comfy/weight_adapter``; the names that kohya's
sd-scripts and musubi-tuner, diffusers, PEFT and ai-toolkit write.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from comfywatchman.inspect.identity import UNKNOWN, Identity, Tensors

_KINDS: tuple[tuple[tuple[str, ...], str], ...] = (
    ((".hada_w1_a",), "LoHa"),
    ((".lokr_w1", ".lokr_w1_a", ".lokr_w2_a"), "LoKr"),
    ((".oft_blocks", ".oft_diag"), "OFT"),
    ((".a1.weight",), "GLoRA"),
    ((".dora_scale",), "DoRA"),
    (
        (
            ".lora_down.weight",
            ".lora_A.weight",
            ".lora_A.default.weight",
            ".lora.down.weight",
            "_lora.down.weight",
            ".lora_linear_layer.down.weight",
            ".lora_down",
            ".lora_A",
        ),
        "LoRA",
    ),
    ((".diff", ".diff_b"), "full difference"),
)
"""Ends of names, and what they are of; DoRA before LoRA, which it also is."""

_DOWN = (
    ".lora_down.weight",
    ".lora_A.weight",
    ".lora_A.default.weight",
    ".lora.down.weight",
    "_lora.down.weight",
    ".lora_linear_layer.down.weight",
)
_PREFIX = re.compile(
    r"^(?:lora_unet_|lycoris_|lora_transformer_|base_model_model_|transformer_(?!blocks)|"
    r"diffusion_model_|"
    r"unet_|lora_)+"
)
_BLOCK = re.compile(r"(?:^|_)(double_blocks|single_blocks|single_transformer_blocks)_(\d{1,3})_")
_UNET = re.compile(r"^(?:input_blocks|output_blocks|middle_block|down_blocks|up_blocks|mid_block)_")
_TEXT = re.compile(r"^(?:lora_)?(?:te|te1|te2|te3|text_encoder|text_encoder_2)_")

_CONTEXTS = {768: "sd1", 1024: "sd2", 2048: "sdxl"}
_FLUX_SINGLE, _FLUX_DOUBLE = 38, 19
"""Blocks of Flux; HunyuanVideo has 40 and 20 under the same names."""

_WAN = {1536: "1.3B", 3072: "5B", 5120: "14B"}


def lora(every: Tensors) -> Identity | None:
    """Return which LoRA the tensors are, or ``None``."""
    kind = _kind(every)
    if kind is None:
        return None
    widths = _input_widths(every)
    architecture, why = _architecture(widths, every)
    rank = _rank(every)
    words = [
        kind,
        f"rank {rank}" if rank else "",
        _WAN.get(_width(widths), "") if architecture == "wan" else "",
    ]
    return Identity("lora", architecture, ", ".join(word for word in words if word), evidence=why)


def _kind(every: Tensors) -> str | None:
    for ends, kind in _KINDS:
        if any(name.endswith(ends) for name in every):
            return kind
    return None


def flat(name: str) -> str:
    """Return the module that a tensor of a LoRA belongs to, spelled one way for all tools."""
    stem = name
    for ends, _ in _KINDS:
        for end in ends:
            stem = stem.removesuffix(end)
    for end in (".lora_up.weight", ".lora_B.weight", ".lora_B.default.weight", ".alpha", ".weight"):
        stem = stem.removesuffix(end)
    return stem.replace(".", "_")


def _input_widths(every: Tensors) -> dict[str, int]:
    """Return for each module the width of what goes into it, 0 where nothing tells."""
    widths: dict[str, int] = {}
    for name in every:
        module = _PREFIX.sub("", flat(name)) if not _TEXT.match(flat(name)) else flat(name)
        widths.setdefault(module, 0)
        if name.endswith(_DOWN):
            widths[module] = every.size(name, 1) or 0
    return widths


def _architecture(widths: dict[str, int], every: Tensors) -> tuple[str, tuple[str, ...]]:
    for find in (_of_unet, _of_streams, _of_transformer, _of_blocks, _of_layers):
        found = find(widths)
        if found is not None:
            architecture, module = found
            return architecture, (f"it changes {module}",)
    text = [module for module in widths if _TEXT.match(module)]
    if text:
        return UNKNOWN, (f"it changes only text encoders, {text[0]}",)
    first_name = next(iter(every), "")
    return UNKNOWN, (f"its tensors are called like {first_name[:200]}",)


_Found = tuple[str, str] | None
"""Architecture, and the module that told."""


def _of_unet(widths: dict[str, int]) -> _Found:
    modules = [module for module in widths if _UNET.match(module)]
    if not modules:
        return None
    for module in modules:
        if module.endswith("attn2_to_k") and widths[module] in _CONTEXTS:
            return _CONTEXTS[widths[module]], f"{module}, which takes {widths[module]} numbers"
    if any(module.startswith(("lora_te2_", "te2_")) for module in widths):
        return "sdxl", "a second text encoder beside a UNet"
    return UNKNOWN, modules[0]


_STREAM_WORDS = (
    ("individual_token_refiner", "hunyuan-video"),
    ("to_qkv_mlp_proj", "flux2"),
    ("distilled_guidance_layer", "chroma"),
)


def _of_streams(widths: dict[str, int]) -> _Found:
    """Tell the models of double and single streams by how many blocks they have."""
    highest: Counter[str] = Counter()
    sample = ""
    for module in widths:
        match = _BLOCK.search(f"_{module}")
        if match is not None:
            sample = sample or module
            highest[match[1]] = max(highest[match[1]], int(match[2]) + 1)
    if not highest:
        return None
    for word, architecture in _STREAM_WORDS:
        if any(word in module for module in widths):
            return architecture, next(module for module in widths if word in module)
    single = highest["single_blocks"] or highest["single_transformer_blocks"]
    double = highest["double_blocks"]
    counted = f"{double} double and {single} single blocks"
    if single > _FLUX_SINGLE or double > _FLUX_DOUBLE:
        return "hunyuan-video", counted
    if single == _FLUX_SINGLE or double == _FLUX_DOUBLE:
        return "flux", counted
    return UNKNOWN, f"{sample}, as Flux and HunyuanVideo have it"


_TRANSFORMER_WIDTHS: tuple[tuple[tuple[str, ...], dict[int, str]], ...] = (
    (
        ("attn_add_k_proj", "attn_add_q_proj", "attn_add_v_proj"),
        {1536: "sd3", 2432: "sd3", 3072: "qwen-image"},
    ),
    (("attn2_to_k", "attn1_to_k"), {2048: "ltxv", 4096: "ltxv", 1152: "pixart"}),
)
"""Ends of modules, and whose they are by the width of what they take."""


def _of_transformer(widths: dict[str, int]) -> _Found:
    blocks = [module for module in widths if "transformer_blocks_" in module]
    if not blocks:
        return None
    for module in blocks:
        if any(word in module for word in ("img_mlp", "txt_mlp", "img_mod")):
            return "qwen-image", module
    for ends, known in _TRANSFORMER_WIDTHS:
        module = _ending(blocks, ends) or ""
        width = widths.get(module, 0)
        if width in known:
            return known[width], f"{module}, which takes {width} numbers"
    return UNKNOWN, blocks[0]


def _of_blocks(widths: dict[str, int]) -> _Found:
    joint = next((module for module in widths if "joint_blocks_" in module), None)
    if joint is not None:
        return "sd3", joint
    blocks = [module for module in widths if re.match(r"blocks_\d", module)]
    if not blocks:
        return None
    if any("llm_adapter" in module for module in widths):
        return "anima", next(module for module in widths if "llm_adapter" in module)
    wan = _ending(blocks, ("cross_attn_k", "self_attn_q", "self_attn_k", "cross_attn_q"))
    if wan is not None:
        return "wan", wan
    cosmos = _ending(blocks, ("cross_attn_k_proj", "self_attn_q_proj", "mlp_layer1"))
    return ("cosmos-predict2", cosmos) if cosmos is not None else (UNKNOWN, blocks[0])


def _of_layers(widths: dict[str, int]) -> _Found:
    layers = [m for m in widths if re.match(r"(?:layers|noise_refiner|context_refiner)_\d", m)]
    attention = _ending(layers, ("attention_qkv", "attention_to_q", "attention_to_k", "w1"))
    if attention is None:
        return None
    width = widths[attention]
    known = {2304: "lumina2", 3840: "z-image"}
    if width in known:
        return known[width], f"{attention}, which takes {width} numbers"
    return UNKNOWN, f"{attention}, as Lumina and Z-Image have it"


def _ending(modules: Iterable[str], ends: tuple[str, ...]) -> str | None:
    return next((module for module in modules if module.endswith(ends)), None)


def _width(widths: dict[str, int]) -> int:
    """Return the width that most modules take."""
    counted = Counter(width for width in widths.values() if width)
    return counted.most_common(1)[0][0] if counted else 0


def _rank(every: Tensors) -> int | None:
    ranks = Counter(
        every.size(name, 0) or 0
        for name in every
        if name.endswith((*_DOWN, ".hada_w1_b", ".lokr_w2_b"))
    )
    return ranks.most_common(1)[0][0] if ranks else None
