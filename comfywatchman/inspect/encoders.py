"""Which text or image encoder the tensors are.

Source of the signs: ComfyUI, ``comfy/sd.py`` (detect_te_model) and ``comfy/clip_vision.py``.
"""

from __future__ import annotations

from dataclasses import replace

from comfywatchman.inspect.identity import Identity, Sign, Tensors, first

_K_BIAS = "model.layers.0.self_attn.k_proj.bias"
_NORM = "model.layers.0.post_attention_layernorm.weight"
_Q_NORM = "model.layers.0.self_attn.q_norm.weight"
_GEMMA = "model.layers.0.post_feedforward_layernorm.weight"
_WI = "encoder.block.23.layer.1.DenseReluDense.wi_1.weight"
_T5_K = "encoder.block.0.layer.0.SelfAttention.k.weight"
_DELTA = "model.language_model.layers.0.input_layernorm.weight"

TEXT: tuple[Sign, ...] = (
    Sign("clip-g", ("text_model.encoder.layers.30.mlp.fc1.weight",)),
    Sign("clip-h", ("text_model.encoder.layers.22.mlp.fc1.weight",)),
    Sign("clip-l", ("text_model.encoder.layers.0.mlp.fc1.weight",)),
    Sign("clip-g", ("transformer.resblocks.31.mlp.c_fc.weight", "text_projection")),
    Sign("clip-h", ("transformer.resblocks.22.mlp.c_fc.weight", "text_projection")),
    Sign("jina-clip-2", ("model.encoder.layers.0.mixer.Wqkv.weight",)),
    Sign("t5-xxl", (_WI,), shape=(_WI, 0, (10240,))),
    Sign("t5-xl", (_WI,), shape=(_WI, 0, (5120,))),
    Sign("t5-xxl-old", ("encoder.block.23.layer.1.DenseReluDense.wi.weight",)),
    Sign("byt5-small", (_T5_K,), shape=(_T5_K, 0, (384,))),
    Sign("t5-base", (_T5_K,), shape=(_T5_K, 0, (768,))),
    Sign("gemma3-12b", (_GEMMA, "model.layers.47.self_attn.q_norm.weight")),
    Sign("gemma3-4b", (_GEMMA, _Q_NORM)),
    Sign("gemma2-2b", (_GEMMA,), shape=(_GEMMA, 0, (2304,))),
    Sign("qwen2.5-3b", (_K_BIAS,), shape=(_K_BIAS, 0, (256,))),
    Sign("qwen2.5-7b", (_K_BIAS,), shape=(_K_BIAS, 0, (512,))),
    Sign("qwen3.5", ("model.language_model.layers.0.linear_attn.A_log", _DELTA)),
    Sign("qwen3-0.6b", (_NORM, _Q_NORM), shape=(_NORM, 0, (1024,))),
    Sign("qwen3-2b", (_NORM, _Q_NORM), shape=(_NORM, 0, (2048,))),
    Sign("qwen3-4b", (_NORM, _Q_NORM), shape=(_NORM, 0, (2560,))),
    Sign("qwen3-8b", (_NORM, _Q_NORM), shape=(_NORM, 0, (4096,))),
    Sign("qwen3-32b", (_NORM, _Q_NORM), shape=(_NORM, 0, (5120,))),
    Sign("mistral3-24b", (_NORM,), (_Q_NORM,), (_NORM, 0, (5120,))),
    Sign("ministral3-3b", (_NORM,), (_Q_NORM,), (_NORM, 0, (3072,))),
    Sign("llama3-8b", (_NORM,), (_Q_NORM,), (_NORM, 0, (4096,))),
)

_VISION: tuple[Sign, ...] = (
    Sign("clip-vision-g", ("vision_model.encoder.layers.47.layer_norm1.weight",)),
    Sign("clip-vision-h", ("vision_model.encoder.layers.30.layer_norm1.weight",)),
    Sign("siglip", ("vision_model.encoder.layers.22.layer_norm1.weight",
                    "vision_model.head.probe")),
    Sign("siglip", ("vision_model.encoder.layers.22.layer_norm1.weight",),
         shape=("vision_model.embeddings.position_embedding.weight", 0, (729, 1024, 256))),
    Sign("clip-vision-l", ("vision_model.encoder.layers.22.layer_norm1.weight",)),
    Sign("clip-vision", ("visual.transformer.resblocks.0.attn.in_proj_weight",)),
    Sign("dinov2", ("encoder.layer.39.layer_scale2.lambda1",)),
    Sign("dinov2", ("encoder.layer.23.layer_scale2.lambda1",)),
)  # fmt: skip

_PREFIXES = (
    "",
    "text_encoders.",
    "transformer.",
    "clip_l.transformer.",
    "clip_g.transformer.",
    "t5xxl.transformer.",
    "language_model.",
)

_GGUF_TEXT = {
    "t5": "t5", "t5encoder": "t5", "llama": "llama", "qwen2": "qwen2.5", "qwen2vl": "qwen2.5-vl",
    "qwen3": "qwen3", "qwen3vl": "qwen3-vl", "gemma2": "gemma2", "gemma3": "gemma3",
}  # fmt: skip
_GGUF_VISION = frozenset({"clip", "clip-vision", "mmproj"})


def encoder(every: Tensors) -> Identity | None:
    """Return which encoder the whole file is, or ``None``."""
    vision = first(_VISION, every)
    text = _text(every)
    if text is not None:
        both = vision is not None and text.architecture.startswith("clip-")
        return replace(text, kind="clip") if both else text
    if vision is not None:
        return Identity("clip-vision", vision.architecture, evidence=vision.evidence(every))
    return None


def _text(every: Tensors) -> Identity | None:
    for prefix in _PREFIXES:
        tensors = every.below(prefix)
        sign = first(TEXT, tensors)
        if sign is not None:
            return Identity("text-encoder", sign.architecture, evidence=sign.evidence(tensors))
    return None


def named_encoder(architecture: str) -> Identity | None:
    """Return what ``general.architecture`` of a GGUF file says, if it is an encoder."""
    told = (f"general.architecture is {architecture}",)
    if architecture in _GGUF_TEXT:
        return Identity("text-encoder", _GGUF_TEXT[architecture], evidence=told)
    if architecture in _GGUF_VISION:
        return Identity("clip-vision", architecture, evidence=told)
    return None
