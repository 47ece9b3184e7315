"""Names and shapes of tensors, as the families of models have them."""

from __future__ import annotations

from collections.abc import Mapping

from comfywatchman.disk.heads.values import Head, Tensor
from comfywatchman.inspect.identify import identify
from comfywatchman.inspect.identity import Identity

Shapes = Mapping[str, tuple[int, ...]]


def head(
    shapes: Shapes, metadata: Mapping[str, str] | None = None, format_: str = "safetensors"
) -> Head:
    tensors = tuple(Tensor(name, "F16", shape, None) for name, shape in shapes.items())
    return Head(format_, tensors, metadata or {})


def told(shapes: Shapes, **metadata: str) -> Identity:
    return identify(head(shapes, {key.replace("__", "."): text for key, text in metadata.items()}))


def below(prefix: str, shapes: Shapes) -> dict[str, tuple[int, ...]]:
    return {prefix + name: shape for name, shape in shapes.items()}


def blocks(name: str, count: int, shape: tuple[int, ...] = (4, 4)) -> dict[str, tuple[int, ...]]:
    return {name.format(number): shape for number in range(count)}


def unet(width: int, inputs: int = 4) -> dict[str, tuple[int, ...]]:
    return {
        "input_blocks.0.0.weight": (320, inputs, 3, 3),
        "input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": (640, width),
        "out.2.weight": (4, 320, 3, 3),
    }


SD_VAE = {"decoder.conv_in.weight": (512, 4, 3, 3), "encoder.conv_in.weight": (128, 3, 3, 3)}
CLIP_L = {"text_model.encoder.layers.0.mlp.fc1.weight": (3072, 768)}
FLUX = {
    "img_in.weight": (3072, 64),
    "double_blocks.0.img_attn.norm.key_norm.scale": (128,),
    "single_blocks.0.linear1.weight": (21504, 3072),
}
WAN = {
    "head.modulation": (1, 2, 5120),
    "head.head.weight": (64, 5120),
    "patch_embedding.weight": (5120, 16, 1, 2, 2),
    "blocks.0.ffn.0.weight": (13824, 5120),
}
LUMINA = {
    "cap_embedder.1.weight": (2304, 2304),
    "noise_refiner.0.attention.k_norm.weight": (96,),
}
MMDIT = {
    "joint_blocks.0.context_block.attn.qkv.weight": (4608, 1536),
    "x_embedder.proj.weight": (1536, 16, 2, 2),
}


def lora(modules: Mapping[str, int], ends: tuple[str, str]) -> dict[str, tuple[int, ...]]:
    made: dict[str, tuple[int, ...]] = {}
    for module, width in modules.items():
        made[module + ends[0]] = (16, width)
        made[module + ends[1]] = (width, 16)
    return made


KOHYA = (".lora_down.weight", ".lora_up.weight")
PEFT = (".lora_A.weight", ".lora_B.weight")


def many(start: str, count: int, end: str, width: int = 3072) -> dict[str, int]:
    return {f"{start}{number}{end}": width for number in range(count)}
