"""Which VAE the tensors are.

Source of the signs: ComfyUI, ``comfy/sd.py`` (class VAE) and ``comfy/taesd``.
"""

from __future__ import annotations

from comfywatchman.inspect.identity import Identity, Sign, Tensors, first

_CONV = "decoder.conv_in.weight"
_LTX = "decoder.up_blocks.0.res_blocks.0.conv1.conv.weight"
_WAN = "decoder.middle.0.residual.0.gamma"

SIGNS: tuple[Sign, ...] = (
    Sign("svd", ("decoder.mid.block_1.mix_factor",)),
    Sign("taesd", ("taesd_decoder.1.weight",)),
    Sign("stable-cascade-a", ("vquantizer.codebook.weight",)),
    Sign("stable-cascade-c", (), any_of=("backbone.1.0.block.0.1.num_batches_tracked",
                                         "blocks.11.num_batches_tracked",
                                         "encoder.backbone.1.0.block.0.1.num_batches_tracked")),
    Sign("trellis2", (), any_of=("shape_dec.blocks.1.16.to_subdiv.weight",
                                 "txt_dec.blocks.3.4.conv2.weight")),
    Sign("seedvr2", ("decoder.up_blocks.2.upsamplers.0.upscale_conv.weight",)),
    Sign("ltx2", ("decoder.conv_in_x_t.weight",)),
    Sign("hunyuan-image-2.1", (_CONV,), shape=(_CONV, 1, (64,))),
    Sign("flux2", (_CONV, "bn.running_mean")),
    Sign("sd3-or-flux", (_CONV,), ("encoder.conv_in.conv.weight",), (_CONV, 1, (16,))),
    Sign("sd", (_CONV,), shape=(_CONV, 1, (4,))),
    Sign("stable-audio", ("decoder.layers.1.layers.0.beta",)),
    Sign("mochi", (), any_of=("blocks.2.blocks.3.stack.5.weight",
                              "decoder.blocks.2.blocks.3.stack.5.weight",
                              "layers.4.layers.1.attn_block.attn.qkv.weight",
                              "encoder.layers.4.layers.1.attn_block.attn.qkv.weight")),
    Sign("ltxv", (_LTX,)),
    Sign("hunyuan-video-1.5", ("decoder.conv_in.conv.weight",),
         shape=("decoder.conv_in.conv.weight", 1, (32,))),
    Sign("cogvideox", ("decoder.conv_in.conv.weight",
                       "decoder.mid_block.resnets.0.norm1.norm_layer.weight")),
    Sign("hunyuan-video", ("decoder.conv_in.conv.weight",)),
    Sign("cosmos", ("decoder.unpatcher3d.wavelets",)),
    Sign("wan2.2", (_WAN, "decoder.upsamples.0.upsamples.0.residual.2.weight")),
    Sign("wan2.1", (_WAN,)),
)  # fmt: skip

_DIFFUSERS = (
    Sign("sd3-or-flux", ("decoder.up_blocks.0.resnets.0.norm1.weight",), shape=(_CONV, 1, (16,))),
    Sign("sd", ("decoder.up_blocks.0.resnets.0.norm1.weight",), shape=(_CONV, 1, (4,))),
)

PREFIXES = ("first_stage_model.", "vae.", "")


def autoencoder(every: Tensors) -> Identity | None:
    """Return which VAE the whole file is, or ``None``."""
    for prefix in PREFIXES:
        tensors = every.below(prefix)
        sign = first(SIGNS, tensors) or first(_DIFFUSERS, tensors)
        if sign is not None:
            return Identity("vae", sign.architecture, evidence=sign.evidence(tensors))
    return _tiny(every)


def _tiny(every: Tensors) -> Identity | None:
    """Return one half of a TAESD, which is saved as a bare list of layers."""
    names = set(every)
    if {"1.weight", "3.conv.0.weight", "3.conv.2.weight"} <= names and every.rank("1.weight") == 4:
        channels = every.size("1.weight", 1)
        return Identity(
            "vae-approx",
            "taesd",
            f"decoder, {channels} channels",
            evidence=every.told("1.weight", "3.conv.0.weight"),
        )
    if {"0.weight", "1.conv.0.weight", "1.conv.2.weight"} <= names:
        return Identity(
            "vae-approx", "taesd", "encoder", evidence=every.told("0.weight", "1.conv.0.weight")
        )
    return None
