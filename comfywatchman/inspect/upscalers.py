"""Which upscaler the tensors are, and by how much it enlarges.

Source of the signs: the public model files of the families, and spandrel's descriptions of them.
"""

from __future__ import annotations

from comfywatchman.inspect.identity import Identity, Sign, Tensors, first

SIGNS: tuple[Sign, ...] = (
    Sign("esrgan", ("model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight")),
    Sign("esrgan", ("conv_first.weight", "body.0.rdb1.conv1.weight")),
    Sign("esrgan", ("conv_first.weight", "RRDB_trunk.0.RDB1.conv1.weight")),
    Sign("swin2sr", ("layers.0.residual_group.blocks.0.attn.logit_scale", "conv_first.weight")),
    Sign("hat", ("layers.0.residual_group.blocks.0.conv_block.cab.0.weight",)),
    Sign("swinir", ("layers.0.residual_group.blocks.0.attn.relative_position_bias_table",)),
    Sign("dat", ("layers.0.blocks.0.attn.attns.0.pos.pos_proj.weight",)),
    Sign("dat", ("layers.0.blocks.0.attn.temperature",)),
    Sign("span", ("block_1.c1_r.sk.weight",)),
    Sign("omnisr", ("residual_layer.0.residual_layer.0.layer.0.fn.0.weight",)),
    Sign("realplksr", ("feats.0.weight", "feats.1.channe_mixer.0.weight")),
    Sign("realplksr", ("feats.0.weight", "feats.1.channel_mixer.0.weight")),
    Sign("compact", ("body.0.weight", "body.1.weight", "body.2.weight"), ("conv_first.weight",)),
    Sign("scunet", ("m_head.0.weight", "m_tail.0.weight")),
    Sign("gfpgan", ("stylegan_decoder.style_mlp.1.weight",)),
    Sign("codeformer", ("position_emb", "ft_layers.0.self_attn.in_proj_weight")),
    Sign("rife", ("block0.conv0.0.0.weight", "block0.conv0.1.0.weight")),
)  # fmt: skip

_FACES = frozenset({"gfpgan", "codeformer"})
_SCALES = (1, 2, 4, 8)


def upscaler(every: Tensors) -> Identity | None:
    """Return which upscaler the tensors are, or ``None``."""
    for prefix in ("", "params_ema.", "params."):
        tensors = every.below(prefix)
        sign = first(SIGNS, tensors)
        if sign is None:
            continue
        kind = "upscaler"
        if sign.architecture in _FACES:
            kind = "face-restoration"
        elif sign.architecture == "rife":
            kind = "frame-interpolation"
        scale = _scale(sign.architecture, tensors)
        return Identity(
            kind,
            sign.architecture,
            f"{scale}x" if scale else None,
            evidence=sign.evidence(tensors),
        )
    return None


def _scale(architecture: str, tensors: Tensors) -> int | None:
    if architecture == "esrgan":
        return _of_esrgan(tensors)
    if architecture == "compact":
        return _of_last_convolution(tensors)
    return None


def _of_esrgan(tensors: Tensors) -> int | None:
    if "model.0.weight" in tensors:
        # model.3, model.6 … enlarge by two each; the two convolutions after them do not.
        numbers = [
            int(name.split(".")[1])
            for name in tensors
            if name.endswith(".weight") and name.count(".") == 2 and name.split(".")[1].isdecimal()
        ]
        enlarging = [number for number in numbers if number >= 2 and number % 3 == 0]
        return 2 ** len(enlarging) if len(enlarging) <= 3 else None
    inputs = tensors.size("conv_first.weight", 1)
    # With fewer than 4x the picture is folded into the channels first (pixel unshuffle).
    return {3: 4, 1: 4, 12: 2, 48: 1}.get(inputs or 0)


def _of_last_convolution(tensors: Tensors) -> int | None:
    """The last convolution makes three colors for each of scale x scale pixels."""
    numbers = [
        int(name.split(".")[1])
        for name in tensors
        if name.startswith("body.") and name.endswith(".weight") and name.split(".")[1].isdecimal()
    ]
    outputs = tensors.size(f"body.{max(numbers, default=0)}.weight", 0) or 0
    return next((scale for scale in _SCALES if 3 * scale * scale == outputs), None)
