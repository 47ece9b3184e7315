"""What a file is, told from its tensors and from what it says of itself."""

from __future__ import annotations

import pytest

from comfywatchman.inspect.identify import identify
from comfywatchman.inspect.identity import UNKNOWN, Identity
from tests.inspect.shapes import (
    CLIP_L,
    FLUX,
    KOHYA,
    LUMINA,
    MMDIT,
    SD_VAE,
    WAN,
    Shapes,
    below,
    blocks,
    head,
    lora,
    many,
    told,
    unet,
)

MODELS: list[tuple[Shapes, str, str, str | None]] = [
    (below("model.diffusion_model.", unet(768)), "diffusion-model", "sd1", None),
    (below("model.diffusion_model.", unet(1024)), "diffusion-model", "sd2", None),
    (below("model.diffusion_model.", unet(2048)), "diffusion-model", "sdxl", None),
    (below("model.diffusion_model.", unet(1280)), "diffusion-model", "sdxl-refiner", None),
    (unet(768, 9), "diffusion-model", "sd1", "inpainting"),
    (unet(2048, 8), "diffusion-model", "sdxl", "instructions"),
    (
        {
            "conv_in.weight": (320, 4, 3, 3),
            "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight": (320, 768),
        },
        "diffusion-model",
        "sd1",
        None,
    ),
    (MMDIT, "diffusion-model", "sd3", "medium"),
    (
        {**MMDIT, "joint_blocks.0.x_block.attn2.qkv.weight": (4608, 1536)},
        "diffusion-model",
        "sd3",
        "3.5 medium",
    ),
    ({**MMDIT, "x_embedder.proj.weight": (2432, 16, 2, 2)}, "diffusion-model", "sd3", "3.5 large"),
    (FLUX, "diffusion-model", "flux", "schnell"),
    ({**FLUX, "guidance_in.in_layer.weight": (3072, 256)}, "diffusion-model", "flux", "dev"),
    ({**FLUX, "img_in.weight": (3072, 384)}, "diffusion-model", "flux", "fill"),
    (below("model.diffusion_model.", FLUX), "diffusion-model", "flux", "schnell"),
    (
        {**FLUX, "double_stream_modulation_img.lin.weight": (18432, 6144)},
        "diffusion-model",
        "flux2",
        None,
    ),
    (
        {**FLUX, "distilled_guidance_layer.norms.0.scale": (5120,)},
        "diffusion-model",
        "chroma",
        None,
    ),
    (WAN, "diffusion-model", "wan", "14B t2v"),
    ({**WAN, "patch_embedding.weight": (5120, 36, 1, 2, 2)}, "diffusion-model", "wan", "14B i2v"),
    (
        {**WAN, "head.modulation": (1, 2, 1536), "vace_patch_embedding.weight": (1536, 96, 1, 2)},
        "diffusion-model",
        "wan",
        "1.3B vace",
    ),
    (
        {**WAN, "head.modulation": (1, 2, 3072), "patch_embedding.weight": (3072, 48, 1, 2, 2)},
        "diffusion-model",
        "wan",
        "5B ti2v",
    ),
    (
        {
            "txt_in.individual_token_refiner.blocks.0.norm1.weight": (3072,),
            "img_in.proj.weight": (3072, 16, 1, 2, 2),
        },
        "diffusion-model",
        "hunyuan-video",
        None,
    ),
    (
        {
            "adaln_single.emb.timestep_embedder.linear_1.bias": (2048,),
            "transformer_blocks.0.attn1.to_q.weight": (2048, 2048),
        },
        "diffusion-model",
        "ltxv",
        "2B",
    ),
    (
        {
            "adaln_single.emb.timestep_embedder.linear_1.bias": (4096,),
            "audio_adaln_single.linear.weight": (4096, 4096),
        },
        "diffusion-model",
        "ltx2",
        None,
    ),
    (
        {"txt_norm.weight": (3584,), "img_in.weight": (3072, 64), "proj_out.weight": (64, 3072)},
        "diffusion-model",
        "qwen-image",
        None,
    ),
    (LUMINA, "diffusion-model", "lumina2", None),
    ({**LUMINA, "cap_embedder.1.weight": (3840, 2560)}, "diffusion-model", "z-image", None),
    (
        {"blocks.block0.blocks.0.block.attn.to_q.0.weight": (4096, 4096)},
        "diffusion-model",
        "cosmos",
        "7B",
    ),
    (
        below(
            "net.",
            {"blocks.0.mlp.layer1.weight": (8192, 2048), "x_embedder.proj.1.weight": (2048, 68)},
        ),
        "diffusion-model",
        "cosmos-predict2",
        "2B",
    ),
    ({"caption_projection.0.linear.weight": (2560, 4096)}, "diffusion-model", "hidream", None),
    ({"clf.1.weight": (64,), "clip_txt_mapper.weight": (2048, 1280)}, "diffusion-model",
     "stable-cascade", "stage c"),
    (SD_VAE, "vae", "sd", None),
    ({**SD_VAE, "decoder.conv_in.weight": (512, 16, 3, 3)}, "vae", "sd3-or-flux", None),
    ({**SD_VAE, "decoder.conv_in.weight": (512, 32, 3, 3), "bn.running_mean": (128,)}, "vae",
     "flux2", None),
    ({"decoder.middle.0.residual.0.gamma": (384, 1, 1, 1)}, "vae", "wan2.1", None),
    (
        {
            "decoder.middle.0.residual.0.gamma": (1024, 1, 1, 1),
            "decoder.upsamples.0.upsamples.0.residual.2.weight": (1024, 1024, 3, 3, 3),
        },
        "vae",
        "wan2.2",
        None,
    ),
    ({"decoder.conv_in.conv.weight": (512, 16, 3, 3, 3)}, "vae", "hunyuan-video", None),
    ({"decoder.up_blocks.0.res_blocks.0.conv1.conv.weight": (512, 512, 3, 3, 3)}, "vae", "ltxv",
     None),
    ({"decoder.unpatcher3d.wavelets": (2,)}, "vae", "cosmos", None),
    ({"decoder.mid.block_1.mix_factor": (1,)}, "vae", "svd", None),
    (
        {"1.weight": (64, 4, 3, 3), "3.conv.0.weight": (64, 64, 3, 3), "3.conv.2.weight": (64,)},
        "vae-approx",
        "taesd",
        "decoder, 4 channels",
    ),
    (CLIP_L, "text-encoder", "clip-l", None),
    ({"text_model.encoder.layers.30.mlp.fc1.weight": (5120, 1280)}, "text-encoder", "clip-g", None),
    (
        {"encoder.block.23.layer.1.DenseReluDense.wi_1.weight": (10240, 4096)},
        "text-encoder",
        "t5-xxl",
        None,
    ),
    ({"encoder.block.0.layer.0.SelfAttention.k.weight": (768, 768)}, "text-encoder", "t5-base",
     None),
    ({"model.layers.0.self_attn.k_proj.bias": (512,)}, "text-encoder", "qwen2.5-7b", None),
    (
        {
            "model.layers.0.post_attention_layernorm.weight": (2560,),
            "model.layers.0.self_attn.q_norm.weight": (128,),
        },
        "text-encoder",
        "qwen3-4b",
        None,
    ),
    ({"model.layers.0.post_attention_layernorm.weight": (4096,)}, "text-encoder", "llama3-8b",
     None),
    (
        {"model.layers.0.post_feedforward_layernorm.weight": (2304,)},
        "text-encoder",
        "gemma2-2b",
        None,
    ),
    (
        {"vision_model.encoder.layers.30.layer_norm1.weight": (1280,)},
        "clip-vision",
        "clip-vision-h",
        None,
    ),
    ({**unet(768), "zero_convs.0.0.weight": (320, 320, 1, 1)}, "controlnet", "sd1", None),
    (
        below("control_model.", {**unet(2048), "zero_convs.0.0.weight": (320, 320, 1, 1)}),
        "controlnet",
        "sdxl",
        None,
    ),
    (
        {
            "controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3),
            "task_embedding": (8, 320),
            "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight": (640, 2048),
        },
        "controlnet",
        "sdxl",
        "union",
    ),
    (
        {
            "controlnet_blocks.0.weight": (3072, 3072),
            "controlnet_x_embedder.weight": (3072, 64),
            "transformer_blocks.0.attn.add_q_proj.weight": (3072, 3072),
        },
        "controlnet",
        "flux",
        None,
    ),
    ({"body.0.in_conv.weight": (320, 192, 1, 1)}, "t2i-adapter", UNKNOWN, None),
    ({"emb_params": (8, 768)}, "embedding", "sd1", "8 vectors"),
    ({"clip_l": (4, 768), "clip_g": (4, 1280)}, "embedding", "sdxl", None),
    ({"string_to_param.*": (2, 1024)}, "embedding", "sd2", "2 vectors"),
    ({"<concept>": (768,)}, "embedding", "sd1", "1 vectors"),
    (
        {
            "image_proj.proj.weight": (3072, 1024),
            "ip_adapter.1.to_k_ip.weight": (320, 768),
        },
        "ip-adapter",
        "sd1",
        None,
    ),
    ({"redux_down.weight": (12288, 1152)}, "style-model", "flux", None),
    (
        {"down_blocks.0.motion_modules.0.temporal_transformer.norm.weight": (320,)},
        "motion-module",
        "sd1-or-sdxl",
        None,
    ),
    (
        {
            "model.0.weight": (64, 3, 3, 3),
            "model.1.sub.0.RDB1.conv1.0.weight": (32, 64, 3, 3),
            "model.3.weight": (64, 64, 3, 3),
            "model.6.weight": (64, 64, 3, 3),
            "model.8.weight": (64, 64, 3, 3),
            "model.10.weight": (3, 64, 3, 3),
        },
        "upscaler",
        "esrgan",
        "4x",
    ),
    (
        {"conv_first.weight": (64, 12, 3, 3), "body.0.rdb1.conv1.weight": (32, 64, 3, 3)},
        "upscaler",
        "esrgan",
        "2x",
    ),
    (
        {**blocks("body.{}.weight", 34, (64,)), "body.34.weight": (48, 64, 3, 3)},
        "upscaler",
        "compact",
        "4x",
    ),
    ({"latent_tensor": (1, 4, 64, 64), "latent_format_version_0": (0,)}, "latent", UNKNOWN, None),
    ({"a": (3,), "b": (4,)}, UNKNOWN, UNKNOWN, None),
    ({}, UNKNOWN, UNKNOWN, None),
]  # fmt: skip


@pytest.mark.parametrize(("shapes", "kind", "architecture", "variant"), MODELS)
def test_a_file_is_known_by_its_tensors(
    shapes: Shapes, kind: str, architecture: str, variant: str | None
) -> None:
    found = told(shapes)

    assert (found.kind, found.architecture, found.variant) == (kind, architecture, variant)
    assert bool(found.evidence) == bool(shapes)


def test_a_checkpoint_brings_its_vae_and_text_encoder_along() -> None:
    found = told(
        {
            **below("model.diffusion_model.", unet(768)),
            **below("first_stage_model.", SD_VAE),
            **below("cond_stage_model.transformer.", CLIP_L),
        }
    )

    assert (found.kind, found.architecture) == ("checkpoint", "sd1")
    assert found.parts == ("diffusion-model", "vae", "text-encoder")


def test_where_the_tensors_are_silent_the_metadata_tells() -> None:
    few = lora(many("lora_unet_double_blocks_", 3, "_img_attn_proj"), KOHYA)

    assert told(few, ss_base_model_version="flux1").architecture == "flux"
    assert told(few, modelspec__architecture="flux-1-dev/lora").architecture == "flux"
    assert told({}, modelspec__architecture="stable-diffusion-xl-v1-base/lora") == Identity(
        "lora",
        "sdxl",
        evidence=("modelspec.architecture is stable-diffusion-xl-v1-base/lora",),
    )


def test_metadata_that_contradicts_the_tensors_is_told_and_not_believed() -> None:
    found = told(unet(768), modelspec__architecture="stable-diffusion-xl-v1-base/lora")

    assert (found.kind, found.architecture) == ("diffusion-model", "sd1")
    assert found.warnings == (
        "its metadata says sdxl, its tensors are those of sd1",
        "its metadata says lora, its tensors are those of a diffusion-model",
    )


@pytest.mark.parametrize(
    ("architecture", "kind", "is_"),
    [
        ("flux", "diffusion-model", "flux"),
        ("wan", "diffusion-model", "wan"),
        ("qwen_image", "diffusion-model", "qwen-image"),
        ("hyvid", "diffusion-model", "hunyuan-video"),
        ("t5encoder", "text-encoder", "t5"),
        ("llama", "text-encoder", "llama"),
        ("qwen2vl", "text-encoder", "qwen2.5-vl"),
        ("clip", "clip-vision", "clip"),
        ("somebodys", UNKNOWN, UNKNOWN),
    ],
)
def test_gguf_says_its_architecture(architecture: str, kind: str, is_: str) -> None:
    found = identify(head({}, {"general.architecture": architecture}, "gguf"))

    assert (found.kind, found.architecture) == (kind, is_)


def test_the_tensors_of_a_gguf_tell_more_than_its_label() -> None:
    found = identify(head(WAN, {"general.architecture": "wan"}, "gguf"))

    assert (found.architecture, found.variant) == ("wan", "14B t2v")
