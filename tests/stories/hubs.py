"""The daemon against the team's stand-in hubs: settings, workflows, and how each model ended."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from comfywatchman.domain.candidates import Wanted
from scripts.hub_traps import Trap
from tests.stories.daemon import Daemon, Tree

_LOADERS: dict[str, tuple[str, list[object]]] = {
    "loras": ("LoraLoaderModelOnly", [1.0]),
    "checkpoints": ("CheckpointLoaderSimple", []),
    "vae": ("VAELoader", []),
    "diffusion_models": ("UNETLoader", ["default"]),
    "controlnet": ("ControlNetLoader", []),
}
HUBS = ("civitai", "hf", "cdn", "web")


def tree_for(hubs: Any, base: Path, tokens: Sequence[str] = (), more: str = "") -> Tree:
    """Return a tree whose daemon asks the stand-in with *tokens*; *more* are settings."""
    urls = hubs.urls
    named = {
        "civitai": next((t for t in tokens if not t.startswith("hf_")), None),
        "huggingface": next((t for t in tokens if t.startswith("hf_")), None),
    }
    key = {hub: f"token = {json.dumps(token)}\n" if token else "" for hub, token in named.items()}
    hosts = tuple(urlsplit(urls[name]).netloc for name in HUBS)
    asking = 'search_backends = ["workflow", "civitai", "huggingface", "github"]\n'
    return Tree(
        base,
        urls["hf"] + '"\n' + key["huggingface"] + '# "',
        hosts,
        f'[hubs.civitai]\nendpoint = "{urls["civitai"]}"\n{key["civitai"]}'
        f'[hubs.github]\nendpoint = "{urls["web"]}"\n[watch]\nsettle_seconds = 0.3\n{more}',
        asking + 'catalog.manager_list = ""',
    )


def workflow(wanted: Wanted) -> list[dict[str, Any]]:
    """Return workflows that say together what is *wanted*: each gives one address."""
    sha256 = wanted.sha256[0] if wanted.sha256 else None
    found = []
    for url in wanted.urls or (None,):
        record = {"name": wanted.name, "url": url, "directory": wanted.folder}
        if sha256 is not None:
            record |= {"hash": sha256, "hash_type": "SHA256"}
        kind, more = _LOADERS[wanted.folder]
        node = {
            "id": 1,
            "type": kind,
            "mode": 0,
            "inputs": [],
            "outputs": [],
            "properties": {"models": [record]} if url or sha256 else {},
            "widgets_values": [wanted.name, *more],
        }
        found.append({"nodes": [node], "links": [], "version": 0.4})
    return found


def batches(traps: Iterable[Trap], hubs: Any) -> list[list[Trap]]:
    """Return the traps in groups that one daemon can have: no name twice in one."""
    found: list[tuple[set[tuple[str, str]], tuple[str, ...], list[Trap]]] = []
    for trap in traps:
        wanted = trap.wanted(hubs)
        key = (wanted.folder, wanted.name)
        for names, tokens, group in found:
            if tokens == trap.tokens and key not in names:
                names.add(key)
                group.append(trap)
                break
        else:
            found.append(({key}, trap.tokens, [trap]))
    return [group for _, _, group in found]


def drop_all(tree: Tree, traps: Iterable[Trap], hubs: Any) -> None:
    """Put the workflows of the traps where the daemon finds them at its start."""
    for number, trap in enumerate(traps):
        for part, content in enumerate(workflow(trap.wanted(hubs))):
            (tree.workflows / f"{number:02}-{part}.json").write_text(json.dumps(content))


def ended(daemon: Daemon, wanted: Wanted) -> tuple[str, str]:
    """Wait for how a model ends: how it was resolved, and what became of fetching it."""
    key = (wanted.folder, wanted.name)

    def lines(*names: str) -> list[dict[str, Any]]:
        return [
            line
            for line in list(daemon.lines)
            if line.get("event") in names and (line.get("folder"), line.get("name")) == key
        ]

    def closed() -> bool:
        if lines("model.placed", "model.linked", "download.failed"):
            return True
        return bool(lines("reference.ambiguous", "reference.unresolved"))

    daemon.when(closed, what="/".join(key))
    chosen = lines("reference.resolved")
    if not chosen:
        return lines("reference.ambiguous", "reference.unresolved")[-1]["error"]["code"], ""
    failed = lines("download.failed")
    then = failed[-1]["error"]["code"] if failed else "verified"
    return f"chosen {chosen[-1]['grade']}", then
