"""A saved workflow as the prompt that ComfyUI's editor would queue: its API form.

Only for templates of core nodes without subgraphs; the editor itself knows every node, we know
those few.
"""

from __future__ import annotations

from typing import Any

_AFTER_SEED = "control_after_generate"
"""A widget that exists in the editor only."""

_WIDGETS: dict[str, tuple[str, ...]] = {
    "CLIPLoader": ("clip_name", "type", "device"),
    "CLIPTextEncode": ("text",),
    "CLIPTextEncodeFlux": ("clip_l", "t5xxl", "guidance"),
    "ConditioningZeroOut": (),
    "CreateVideo": ("fps",),
    "DualCLIPLoader": ("clip_name1", "clip_name2", "type", "device"),
    "EmptyHunyuanLatentVideo": ("width", "height", "length", "batch_size"),
    "EmptyLatentImage": ("width", "height", "batch_size"),
    "EmptySD3LatentImage": ("width", "height", "batch_size"),
    "KSampler": (
        "seed",
        _AFTER_SEED,
        "steps",
        "cfg",
        "sampler_name",
        "scheduler",
        "denoise",
    ),
    "LoraLoaderModelOnly": ("lora_name", "strength_model"),
    "ModelSamplingAuraFlow": ("shift",),
    "ModelSamplingSD3": ("shift",),
    "SaveImage": ("filename_prefix",),
    "SaveVideo": ("filename_prefix", "format", "codec"),
    "UNETLoader": ("unet_name", "weight_dtype"),
    "VAEDecode": (),
    "VAELoader": ("vae_name",),
}
"""The widgets of a node type in the order of ``widgets_values`` (nodes.py and comfy_extras)."""

_ONLY_SEEN = {"Note", "MarkdownNote"}
_SWITCHED_OFF = {2, 4}

Prompt = dict[str, dict[str, Any]]


def api_form(workflow: dict[str, Any]) -> Prompt | None:
    """Return the prompt of *workflow*, or ``None`` where it has a node that we cannot turn."""
    nodes = [node for node in workflow["nodes"] if node["type"] not in _ONLY_SEEN]
    if any(node["type"] not in _WIDGETS or node.get("mode", 0) in _SWITCHED_OFF for node in nodes):
        return None
    sources = {link[0]: [str(link[1]), link[2]] for link in workflow["links"]}
    prompt: Prompt = {}
    for node in nodes:
        inputs = _values(node)
        if inputs is None:
            return None
        for socket in node.get("inputs", []):
            if socket.get("link") is not None:
                inputs[socket["name"]] = sources[socket["link"]]
        title = node.get("title", node["type"])
        prompt[str(node["id"])] = {
            "class_type": node["type"],
            "inputs": inputs,
            "_meta": {"title": title},
        }
    return prompt


def _values(node: dict[str, Any]) -> dict[str, Any] | None:
    values = node.get("widgets_values") or []
    names = _WIDGETS[node["type"]]
    if not isinstance(values, list) or len(values) != len(names):
        return None
    paired = zip(names, values, strict=True)
    return {name: value for name, value in paired if name != _AFTER_SEED}
