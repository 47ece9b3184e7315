"""Widely used node types that live in the editor only, and whose they are.

No server lists them, and no map made from Python has them. Read in the packs' scripts (``web/js``
of KJNodes and mtb, ``web_version/v2`` of Easy-Use, ``web/comfyui/constants.js`` of rgthree-comfy,
``web`` of Crystools) in November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping

_KJNODES = ("comfyui-kjnodes", "kijai/ComfyUI-KJNodes")
_EASY_USE = ("comfyui-easy-use", "yolain/ComfyUI-Easy-Use")
_RGTHREE = ("rgthree-comfy", "rgthree/rgthree-comfy")
_MTB = ("comfy-mtb", "melMass/comfy_mtb")
_CRYSTOOLS = ("comfyui-crystools", "crystian/ComfyUI-Crystools")

EDITOR_TYPES: Mapping[str, tuple[str, str]] = {
    "GetNode": _KJNODES,
    "SetNode": _KJNODES,
    "easy bookmark": _EASY_USE,
    "easy getNode": _EASY_USE,
    "easy setNode": _EASY_USE,
    **{
        f"{name} (rgthree)": _RGTHREE
        for name in (
            "Bookmark",
            "Fast Actions Button",
            "Fast Bypasser",
            "Fast Groups Bypasser",
            "Fast Groups Muter",
            "Fast Muter",
            "Label",
            "Mute / Bypass Relay",
            "Mute / Bypass Repeater",
            "Node Collector",
            "Power Conductor",
            "Random Unmuter",
            "Reroute",
        )
    },
    "Constant (mtb)": _MTB,
    "Note Plus (mtb)": _MTB,
    "Show Metadata [Crystools]": _CRYSTOOLS,
}
"""Node type -> registry id and repository of its pack."""
