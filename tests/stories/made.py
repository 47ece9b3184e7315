"""Small workflows made on the spot, and models that only our hub has."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comfywatchman.demo.hub import Hub

_LOADERS = {
    "loras": ("LoraLoaderModelOnly", "lora_name", [1.0]),
    "checkpoints": ("CheckpointLoaderSimple", "ckpt_name", []),
    "vae": ("VAELoader", "vae_name", []),
}


@dataclass(frozen=True)
class Want:
    """A model that a workflow asks for, and what it says about its source."""

    name: str
    folder: str = "loras"
    url: str | None = None
    sha256: str | None = None

    @property
    def where(self) -> str:
        """Its path below ``models/``."""
        return f"{self.folder}/{self.name}"


def has(hub: Hub, name: str, folder: str = "loras", content: bytes | None = None) -> Want:
    """Have the hub offer *name*, and return what a workflow writes to get it from there."""
    url = f"https://huggingface.co/us/{folder}/resolve/main/{name}"
    hub.add(url, content)
    return Want(name, folder, url)


def workflow(*wants: Want) -> dict[str, Any]:
    """Return a workflow as ComfyUI saves it, with one loader for each model."""
    nodes = [_node(number, want) for number, want in enumerate(wants, 1)]
    return {
        "nodes": nodes,
        "links": [],
        "version": 0.4,
        "last_node_id": len(nodes),
        "last_link_id": 0,
    }


def text(*wants: Want) -> str:
    return json.dumps(workflow(*wants))


def drop(path: Path, *wants: Want) -> Path:
    """Write the workflow in one piece."""
    path.write_text(text(*wants))
    return path


def prompt(*wants: Want) -> dict[str, Any]:
    """Return the API form, which says nothing about sources."""
    return {
        str(number): {
            "class_type": _LOADERS[want.folder][0],
            "inputs": {_LOADERS[want.folder][1]: want.name},
        }
        for number, want in enumerate(wants, 1)
    }


def _node(number: int, want: Want) -> dict[str, Any]:
    kind, _, more = _LOADERS[want.folder]
    node: dict[str, Any] = {
        "id": number,
        "type": kind,
        "mode": 0,
        "inputs": [],
        "outputs": [],
        "properties": {"Node name for S&R": kind},
        "widgets_values": [want.name, *more],
    }
    if want.url is not None:
        declared = {"name": want.name, "url": want.url, "directory": want.folder}
        if want.sha256 is not None:
            declared |= {"hash": want.sha256, "hash_type": "SHA256"}
        node["properties"]["models"] = [declared]
    return node
