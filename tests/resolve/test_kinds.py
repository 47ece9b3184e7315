from __future__ import annotations

import pytest

from comfywatchman.resolve.kinds import OLD_TYPES, UNKNOWN, of_civitai, of_path


@pytest.mark.parametrize(
    ("model", "file", "form", "folder", "fits"),
    [
        ("Checkpoint", "Model", "SafeTensor", "checkpoints", True),
        ("Checkpoint", "Pruned Model", None, "checkpoints", True),
        # uploaded before there was a type for it: it may be one
        ("Checkpoint", "Model", "SafeTensor", "diffusion_models", None),
        ("Checkpoint", "Model", "SafeTensor", "loras", False),
        ("Checkpoint", "Diffusion Model", "SafeTensor", "diffusion_models", True),
        ("Checkpoint", "Diffusion Model", "SafeTensor", "checkpoints", False),
        ("Checkpoint", "UNet", None, "diffusion_models", True),
        ("Checkpoint", "VAE", None, "vae", True),
        ("Checkpoint", "VAE", None, "checkpoints", False),
        ("Checkpoint", "Text Encoder", None, "text_encoders", True),
        ("Checkpoint", "Model", "GGUF", "diffusion_models", True),
        ("Checkpoint", "Model", "GGUF", "checkpoints", False),
        ("LORA", "Model", None, "loras", True),
        ("LoCon", "Model", None, "loras", True),
        ("DoRA", "Model", None, "loras", True),
        ("TextualInversion", "Negative", None, "embeddings", True),
        ("Controlnet", "Model", None, "controlnet", True),
        ("Upscaler", "Model", None, "upscale_models", True),
        ("MotionModule", "Model", None, "animatediff_models", True),
        ("Detection", "Model", None, "ultralytics/bbox", True),
        ("Workflows", "Model", None, "checkpoints", False),
        ("LORA", "Training Data", None, "loras", False),
        ("LORA", "Archive", None, "loras", False),
        ("Checkpoint", "Config", None, "checkpoints", False),
        ("Other", "Model", None, "loras", None),
        ("A type of tomorrow", "Model", None, "loras", None),
        ("Checkpoint", "Other", None, "checkpoints", None),
    ],
)
def test_the_type_of_the_file_outranks_that_of_its_model(
    model: str, file: str, form: str | None, folder: str, fits: bool | None
) -> None:
    assert of_civitai(model, file, form).fits(folder) is fits


@pytest.mark.parametrize(
    ("repo", "path", "folder", "fits"),
    [
        ("Comfy-Org/x", "split_files/vae/ae.safetensors", "vae", True),
        ("Comfy-Org/x", "split_files/vae/ae.safetensors", "checkpoints", False),
        ("o/x", "unet/diffusion_pytorch_model.safetensors", "diffusion_models", True),
        ("o/x", "text_encoder_2/model.safetensors", "text_encoders", True),
        ("o/x", "loras/vae/y.safetensors", "vae", True),  # the nearest directory
        ("o/x", "Wan2_1_VAE_bf16.safetensors", "vae", True),
        ("o/x", "some-lora-v1.safetensors", "loras", True),
        ("o/Some-LoRA", "file.safetensors", "loras", True),
        ("o/x", "sigclip_vision_patch14_384.safetensors", "clip_vision", True),
        ("o/x", "t5xxl_fp16.safetensors", "text_encoders", True),
        ("o/x", "umt5-xxl-enc-bf16.safetensors", "text_encoders", True),
        ("o/x", "flux1-dev-Q4_K_S.gguf", "diffusion_models", True),
        ("o/x", "t5-v1_1-xxl-encoder-Q8_0.gguf", "text_encoders", True),
        ("o/x", "Qwen2.5-VL-7B-Instruct-Q4_K_M.gguf", "text_encoders", True),
        ("o/x", "sd_xl_base_1.0.safetensors", "checkpoints", None),
        ("o/x", "value_added.safetensors", "vae", None),
        ("o/x", "vae_lora.safetensors", "vae", None),  # two words that disagree
        # a name says what it is, and not what it is not
        ("o/x", "some-lora-v1.safetensors", "checkpoints", None),
    ],
)
def test_a_path_says_where_a_file_belongs_or_says_nothing(
    repo: str, path: str, folder: str, fits: bool | None
) -> None:
    assert of_path(repo, path).fits(folder) is fits


def test_nobody_knows_without_being_told() -> None:
    assert UNKNOWN.fits("loras") is None


def test_only_folders_with_certain_types_are_searched_by_type() -> None:
    for folder, types in OLD_TYPES.items():
        assert all(of_civitai(kind, "Model").fits(folder) for kind in types)
