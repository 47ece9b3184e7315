"""What a LoRA changes, and of which family."""

from __future__ import annotations

import pytest

from comfywatchman.inspect.identity import UNKNOWN
from tests.inspect.shapes import (
    KOHYA,
    PEFT,
    Shapes,
    lora,
    many,
    told,
)

LORAS: list[tuple[Shapes, str, str]] = [
    (
        lora({"lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k": 768}, KOHYA),
        "sd1",
        "LoRA, rank 16",
    ),
    (
        lora({"lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k": 2048}, KOHYA),
        "sdxl",
        "LoRA, rank 16",
    ),
    (
        lora(
            {
                "lora_unet_input_blocks_4_1_proj_in": 640,
                "lora_te2_text_model_encoder_layers_0_mlp_fc1": 1280,
            },
            KOHYA,
        ),
        "sdxl",
        "LoRA, rank 16",
    ),
    (
        lora(
            {"unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k": 2048},
            (".lora.down.weight", ".lora.up.weight"),
        ),
        "sdxl",
        "LoRA, rank 16",
    ),
    (lora(many("lora_unet_double_blocks_", 19, "_img_attn_proj"), KOHYA), "flux", "LoRA, rank 16"),
    (
        lora(many("transformer.single_transformer_blocks.", 38, ".attn.to_q"), PEFT),
        "flux",
        "LoRA, rank 16",
    ),
    (
        lora(many("diffusion_model.double_blocks.", 20, ".img_attn.qkv"), PEFT),
        "hunyuan-video",
        "LoRA, rank 16",
    ),
    (lora(many("lora_unet_double_blocks_", 3, "_img_attn_proj"), KOHYA), UNKNOWN, "LoRA, rank 16"),
    (
        lora(many("diffusion_model.blocks.", 40, ".cross_attn.k", 5120), PEFT),
        "wan",
        "LoRA, rank 16, 14B",
    ),
    (
        lora(many("lora_unet_blocks_", 30, "_self_attn_q", 1536), KOHYA),
        "wan",
        "LoRA, rank 16, 1.3B",
    ),
    (
        lora({"transformer.transformer_blocks.0.attn.add_k_proj": 1536}, PEFT),
        "sd3",
        "LoRA, rank 16",
    ),
    (lora({"lora_unet_joint_blocks_0_context_block_attn_qkv": 1536}, KOHYA), "sd3",
     "LoRA, rank 16"),
    (
        lora(
            {
                "transformer_blocks.0.attn.add_k_proj": 3072,
                "transformer_blocks.0.img_mlp.net.0.proj": 3072,
            },
            PEFT,
        ),
        "qwen-image",
        "LoRA, rank 16",
    ),
    (lora({"diffusion_model.layers.0.attention.to_q": 3840}, PEFT), "z-image", "LoRA, rank 16"),
    (lora({"lora_unet_layers_0_attention_qkv": 2304}, KOHYA), "lumina2", "LoRA, rank 16"),
    (
        lora({"diffusion_model.transformer_blocks.0.attn1.to_k": 2048}, PEFT),
        "ltxv",
        "LoRA, rank 16",
    ),
    (
        {
            "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.hada_w1_a": (640, 8),
            "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.hada_w1_b": (8, 2048),
        },
        UNKNOWN,
        "LoHa, rank 8",
    ),
    (
        {
            **lora({"lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k": 2048}, KOHYA),
            "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.dora_scale": (640, 1),
        },
        "sdxl",
        "DoRA, rank 16",
    ),
    (lora({"lora_te_text_model_encoder_layers_0_mlp_fc1": 768}, KOHYA), UNKNOWN, "LoRA, rank 16"),
]  # fmt: skip


@pytest.mark.parametrize(("shapes", "architecture", "variant"), LORAS)
def test_a_lora_is_known_by_what_it_changes(
    shapes: Shapes, architecture: str, variant: str
) -> None:
    found = told(shapes)

    assert (found.kind, found.architecture, found.variant) == ("lora", architecture, variant)
    assert found.evidence
