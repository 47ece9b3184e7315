"""Which diffusion model the tensors are.

Source of the signs: ComfyUI, ``comfy/model_detection.py``, whose order they keep: a later one may
show in a file that an earlier one recognizes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from comfywatchman.inspect.identity import Identity, Sign, Tensors, first

PREFIXES = (
    "model.diffusion_model.",
    "model.model.",
    "net.",
    "diffusion_model.",
    "model.",
    "transformer.",
    "unet.",
    "",
)
"""Where tools put the backbone; the empty one last."""

_KEY_NORM = (
    "double_blocks.0.img_attn.norm.key_norm.scale",
    "double_blocks.0.img_attn.norm.key_norm.weight",
)
_DISTILLED = (
    "distilled_guidance_layer.0.norms.0.scale",
    "distilled_guidance_layer.norms.0.scale",
    "distilled_guidance_layer.norms.0.weight",
)

SIGNS: tuple[Sign, ...] = (
    Sign("sd3", ("joint_blocks.0.context_block.attn.qkv.weight",)),
    Sign("stable-cascade", ("clf.1.weight",)),
    Sign("trellis2", (), any_of=("img2shape.t_embedder.mlp.0.weight",
                                 "shape2txt.t_embedder.mlp.0.weight")),
    Sign("stable-audio", ("transformer.rotary_pos_emb.inv_freq",)),
    Sign("auraflow", ("double_layers.0.attn.w1q.weight",)),
    Sign("hunyuan-dit", ("mlp_t5.0.weight",)),
    Sign("hunyuan-video", ("txt_in.individual_token_refiner.blocks.0.norm1.weight",)),
    Sign("flux2", ("double_stream_modulation_img.lin.weight", "img_in.weight"), any_of=_KEY_NORM),
    Sign("chroma-radiance", (), any_of=("nerf_blocks.0.norm.scale", "nerf_blocks.0.norm.weight")),
    Sign("chroma", (), any_of=_DISTILLED),
    Sign("flux", ("img_in.weight",), any_of=_KEY_NORM),
    Sign("mochi", ("t5_yproj.weight",)),
    Sign("pixart", ("adaln_single.emb.timestep_embedder.linear_1.bias", "pos_embed.proj.bias")),
    Sign("minimax-h3", ("video_patch_proj.weight", "audio_patch_proj.weight")),
    Sign("ltx2", ("adaln_single.emb.timestep_embedder.linear_1.bias",
                  "audio_adaln_single.linear.weight")),
    Sign("ltxv", ("adaln_single.emb.timestep_embedder.linear_1.bias",)),
    Sign("ace-step", ("genre_embedder.weight",)),
    Sign("pixart", ("t_block.1.weight",)),
    Sign("cosmos", ("blocks.block0.blocks.0.block.attn.to_q.0.weight",)),
    Sign("pixeldit", ("core.pixel_embedder.proj.weight",)),
    Sign("z-image", ("cap_embedder.1.weight", "noise_refiner.0.attention.k_norm.weight"),
         shape=("cap_embedder.1.weight", 0, (3840,))),
    Sign("lumina2", ("cap_embedder.1.weight", "noise_refiner.0.attention.k_norm.weight"),
         shape=("cap_embedder.1.weight", 0, (2304,))),
    Sign("cogvideox", ("blocks.0.norm1.linear.weight",)),
    Sign("seedvr2", (), any_of=("blocks.35.mlp.vid.proj_out.weight",
                                "blocks.35.mlp.all.proj_in_gate.weight",
                                "blocks.31.mlp.all.proj_in_gate.weight")),
    Sign("wan", ("head.modulation",)),
    Sign("hunyuan3d", ("latent_in.weight",)),
    Sign("hunyuan3d-2.1", ("t_embedder.mlp.2.weight", "blocks.0.attn1.k_norm.weight")),
    Sign("triposplat", ("cam_out_layer.weight", "repo_layers.0.final_map.weight")),
    Sign("hidream-o1", ("t_embedder1.mlp.0.weight", "x_embedder.proj1.weight")),
    Sign("hidream", ("caption_projection.0.linear.weight",)),
    Sign("anima", ("blocks.0.mlp.layer1.weight",
                   "llm_adapter.blocks.0.cross_attn.q_proj.weight")),
    Sign("cosmos-predict2", ("blocks.0.mlp.layer1.weight",)),
    Sign("boogu", ("double_stream_layers.0.img_instruct_attn.processor.img_to_q.weight",)),
    Sign("omnigen2", ("time_caption_embed.timestep_embedder.linear_1.bias",)),
    Sign("lens", ("transformer_blocks.0.attn.norm_added_q.weight",
                  "transformer_blocks.0.img_mlp.w1.weight")),
    Sign("mage-flow", ("txt_norm.weight", "proj_out.weight"),
         shape=("txt_norm.weight", 0, (2560,))),
    Sign("qwen-image-2.1", ("txt_in.text_norm.weight", "modulation.1.weight",
                            "transformer_blocks.0.attn.norm_q.weight")),
    Sign("qwen-image", ("txt_norm.weight", "img_in.weight")),
    Sign("ideogram4", ("embed_image_indicator.weight",)),
    Sign("krea2", ("txtfusion.projector.weight",)),
    Sign("kandinsky5", ("visual_transformer_blocks.0.cross_attention.key_norm.weight",)),
    Sign("ace-step-1.5", ("encoder.lyric_encoder.layers.0.input_layernorm.weight",)),
    Sign("ernie-image", ("layers.0.mlp.linear_fc2.weight",)),
)  # fmt: skip

_DIFFUSERS: tuple[Sign, ...] = (
    Sign("auraflow", ("joint_transformer_blocks.0.attn.add_k_proj.weight",)),
    Sign("flux2", ("single_transformer_blocks.0.attn.to_qkv_mlp_proj.weight",)),
    Sign("flux", ("x_embedder.weight", "single_transformer_blocks.0.norm.linear.weight")),
    Sign("z-image", ("noise_refiner.0.attention.norm_k.weight",),
         shape=("noise_refiner.0.attention.to_k.weight", 0, (3840,))),
    Sign("lumina2", ("noise_refiner.0.attention.norm_k.weight",)),
    Sign("qwen-image", ("transformer_blocks.0.attn.add_q_proj.weight", "txt_norm.weight")),
    Sign("sd3", ("transformer_blocks.0.attn.add_q_proj.weight", "pos_embed.proj.weight")),
    Sign("wan", ("condition_embedder.text_embedder.linear_1.weight", "scale_shift_table")),
)  # fmt: skip
"""The same models under the names that diffusers gives them."""

_UNET_CONTEXT = {768: "sd1", 1024: "sd2", 2048: "sdxl", 1280: "sdxl-refiner"}
"""Width of the text that a UNet attends to."""

_UNET_INPUTS = {9: "inpainting", 8: "instructions", 5: "depth", 7: "upscaler"}


def diffusion(every: Tensors) -> Identity | None:
    """Return which diffusion model is in the file, or ``None``."""
    for prefix in PREFIXES:
        if prefix and not every.any_starts(prefix):
            continue
        tensors = every.below(prefix)
        found = _unet(tensors) or _transformer(tensors)
        if found is not None:
            return found
    return None


def _transformer(tensors: Tensors) -> Identity | None:
    sign = first(SIGNS, tensors) or first(_DIFFUSERS, tensors)
    if sign is None:
        return None
    variant = _VARIANTS.get(sign.architecture)
    return Identity(
        "diffusion-model",
        sign.architecture,
        variant(tensors) if variant is not None else None,
        evidence=sign.evidence(tensors),
    )


def _unet(tensors: Tensors) -> Identity | None:
    entry = "input_blocks.0.0.weight" if "input_blocks.0.0.weight" in tensors else "conv_in.weight"
    attention = _attention(tensors)
    if entry not in tensors or attention is None:
        return None
    width = tensors.size(attention, 1)
    architecture = _UNET_CONTEXT.get(width or 0)
    if architecture is None:
        return None
    inputs = tensors.size(entry, 1)
    moving = any(".time_stack." in name or ".time_mix_blocks." in name for name in tensors)
    if moving:
        architecture = "svd"
    variant = _UNET_INPUTS.get(inputs or 0) if not moving else None
    return Identity(
        "diffusion-model", architecture, variant, evidence=tensors.told(entry, attention)
    )


def _attention(tensors: Tensors) -> str | None:
    """Return the tensor that turns the text into keys, in the first block that has one."""
    ends = ".transformer_blocks.0.attn2.to_k.weight"
    starts = ("input_blocks.", "down_blocks.")
    found = (name for name in tensors if name.startswith(starts) and name.endswith(ends))
    return min(found, default=None)


def _sd3(tensors: Tensors) -> str | None:
    width = tensors.size("x_embedder.proj.weight", 0)
    if any(name.endswith(".x_block.attn2.qkv.weight") for name in tensors):
        return "3.5 medium"
    return {1536: "medium", 2432: "3.5 large"}.get(width or 0)


def _flux(tensors: Tensors) -> str | None:
    inputs = tensors.size("img_in.weight", 1)
    special = {384: "fill", 128: "depth or canny", 448: "redux fill"}.get(inputs or 0)
    if special:
        return special
    return "dev" if "guidance_in.in_layer.weight" in tensors else "schnell"


def _wan(tensors: Tensors) -> str | None:
    sizes = {1536: "1.3B", 3072: "5B", 5120: "14B"}
    size = sizes.get(tensors.size("head.modulation", -1) or 0)
    tasks = (
        ("vace_patch_embedding.weight", "vace"),
        ("control_adapter.conv.weight", "camera"),
        ("casual_audio_encoder.encoder.final_linear.weight", "s2v"),
        ("audio_proj.audio_proj_glob_1.layer.bias", "humo"),
        ("face_adapter.fuser_blocks.0.k_norm.weight", "animate"),
        ("img_emb.proj.0.bias", "i2v"),
    )
    task = next((word for name, word in tasks if name in tensors), None)
    if task is None:
        inputs = tensors.size("patch_embedding.weight", 1)
        task = {16: "t2v", 36: "i2v", 48: "ti2v"}.get(inputs or 0)
    return " ".join(word for word in (size, task) if word) or None


def _hunyuan_video(tensors: Tensors) -> str | None:
    if tensors.rank("img_in.proj.weight") == 4:
        return "image"
    if "cond_type_embedding.weight" in tensors:
        return "1.5"
    return {32: "i2v", 33: "i2v"}.get(tensors.size("img_in.proj.weight", 1) or 0)


def _cascade(tensors: Tensors) -> str | None:
    return "stage c" if "clip_txt_mapper.weight" in tensors else "stage b"


def _cosmos(tensors: Tensors) -> str | None:
    first_block = "blocks.block0.blocks.0.block.attn.to_q.0.weight"
    return {4096: "7B", 5120: "14B"}.get(tensors.size(first_block, 0) or 0)


def _predict2(tensors: Tensors) -> str | None:
    return {2048: "2B", 5120: "14B"}.get(tensors.size("x_embedder.proj.1.weight", 0) or 0)


def _pixart(tensors: Tensors) -> str | None:
    if "t_block.1.weight" not in tensors:
        return None
    return "alpha" if "ar_embedder.mlp.0.weight" in tensors else "sigma"


def _ltxv(tensors: Tensors) -> str | None:
    widths = {2048: "2B", 4096: "13B"}
    return widths.get(tensors.size("transformer_blocks.0.attn1.to_q.weight", 0) or 0)


_VARIANTS: Mapping[str, Callable[[Tensors], str | None]] = {
    "sd3": _sd3,
    "flux": _flux,
    "wan": _wan,
    "hunyuan-video": _hunyuan_video,
    "stable-cascade": _cascade,
    "cosmos": _cosmos,
    "cosmos-predict2": _predict2,
    "pixart": _pixart,
    "ltxv": _ltxv,
}
