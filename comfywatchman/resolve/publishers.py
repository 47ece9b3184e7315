"""Accounts on Hugging Face that publish files for ComfyUI, each with the reason why it is asked.

One question to an account lists the files of all its repositories, so that a file is found although
no hub can be searched by file name. The list is short on purpose: each entry is a question a day.
"""

from __future__ import annotations

from dataclasses import dataclass

_WEIGHTS = frozenset({".safetensors", ".sft", ".gguf", ".ckpt", ".pt", ".pth", ".bin"})
_GGUF = frozenset({".gguf"})
_TENSORS = frozenset({".safetensors", ".sft"})


@dataclass(frozen=True, slots=True)
class Account:
    """An account that is asked for every file with one of its suffixes."""

    name: str
    why: str
    suffixes: frozenset[str] = _WEIGHTS


ACCOUNTS: tuple[Account, ...] = (
    Account("Comfy-Org", "Repackages models for ComfyUI: four of five files of its templates."),
    Account("Kijai", "Weights for the wrapper nodes of the same author.", _TENSORS),
    Account("city96", "Makes the GGUF loader; the first quantized diffusion models.", _GGUF),
    Account("QuantStack", "Quantized video and image models for that loader.", _GGUF),
    Account("comfyanonymous", "The author of ComfyUI: text encoders and early ControlNets."),
    Account("black-forest-labs", "FLUX, as its makers publish it."),
    Account("Lightricks", "LTX video, named by the templates."),
    Account("lightx2v", "Step distillation LoRAs for Qwen and Wan.", _TENSORS),
    Account("stabilityai", "Stable Diffusion, its VAEs and refiners.", _TENSORS | {".ckpt"}),
    Account("lllyasviel", "ControlNet and its converted successors."),
    Account("h94", "IP-Adapter.", _TENSORS | {".bin"}),
)


def accounts_for(filename: str) -> tuple[Account, ...]:
    """Return whom to ask for a file of this name."""
    lowered = filename.lower()
    return tuple(
        account for account in ACCOUNTS if any(lowered.endswith(end) for end in account.suffixes)
    )
