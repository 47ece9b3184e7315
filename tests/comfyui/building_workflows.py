"""Saved workflows in a few words, and the node types that they use."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from comfywatchman.comfyui.prompt import Converted, NodeTypes, to_prompt
from tests.comfyui.serving_comfyui import node_class, v1, v3

Json = Any

NOW = datetime(2026, 3, 9, 8, 7, 6)  # noqa: DTZ001 - a date as a person reads it
TYPES = {
    "Load": node_class(
        required={"name": v1(["a.safetensors", "b.safetensors"])},
        output=["MODEL", "CLIP"],
        display_name="Load It",
    ),
    "Lora": node_class(
        required={
            "model": ["MODEL"],
            "clip": ["CLIP"],
            "lora": v1(["x"]),
            "strength": ["FLOAT", {"default": 1.0}],
        },
        output=["MODEL", "CLIP"],
    ),
    "Text": node_class(
        required={"text": ["STRING", {"dynamicPrompts": True}], "clip": ["CLIP"]},
        output=["COND"],
    ),
    "Sample": node_class(
        required={
            "model": ["MODEL"],
            "seed": ["INT", {"control_after_generate": True}],
            "steps": ["INT", {"default": 20}],
            "cond": ["COND"],
        },
        optional={"extra": ["INT", {"forceInput": True}]},
        output=["LATENT"],
    ),
    "SaveImage": node_class(
        required={"images": ["LATENT"], "filename_prefix": ["STRING", {"default": "C"}]}, output=[]
    ),
    "Pick": node_class(
        required={
            "mode": [
                "COMFY_DYNAMICCOMBO_V3",
                {
                    "options": [
                        {"key": "one", "inputs": {"required": {"size": ["INT", {}]}}},
                        {
                            "key": "two",
                            "inputs": {"required": {"w": ["INT", {}], "h": ["INT", {}]}},
                        },
                    ]
                },
            ],
            "last": ["STRING", {}],
        }
    ),
    "Listed": node_class(required={"choice": v3(["p", "q"], control_after_generate=True)}),
    "Image": node_class(
        required={"image": v1(["i.png"], image_upload=True), "scale": ["FLOAT", {"default": 2.0}]}
    ),
    "Grow": node_class(
        required={
            "parts": [
                "COMFY_AUTOGROW_V3",
                {
                    "template": {
                        "input": {"required": {"part": ["LATENT", {}]}},
                        "prefix": "part",
                        "min": 1,
                        "max": 9,
                    }
                },
            ]
        }
    ),
    "Int": node_class(required={"value": ["INT", {}]}, output=["INT"]),
}


def node(
    number: Json, kind: str, *values: Json, ins: Json = (), outs: int = 1, **more: Json
) -> Json:
    """Return a saved node; *ins* are (name, type, link) or (name, type, link, widget)."""
    sockets = [
        {"name": each[0], "type": each[1], "link": each[2]}
        | ({"widget": {"name": each[3]}} if len(each) > 3 else {})
        for each in ins
    ]
    known = TYPES.get(kind, {}).get("output", ["*"] * outs)
    outputs = [{"name": each, "type": each, "links": []} for each in known]
    saved = {"id": number, "type": kind, "inputs": sockets, "outputs": outputs, "mode": 0}
    return saved | {"widgets_values": list(values)} | more


def graph(*nodes: Json, links: Json = (), **more: Json) -> Json:
    """Return a workflow; *links* are (id, origin, slot, target, slot)."""
    return {"nodes": list(nodes), "links": [[*each, "*"] for each in links], "version": 0.4} | more


def converted(workflow: Json, **more: Json) -> Converted:
    return to_prompt(workflow, NodeTypes(TYPES), now=NOW, **more)


def inputs(workflow: Json, number: str) -> Json:
    return converted(workflow).prompt[number]["inputs"]
