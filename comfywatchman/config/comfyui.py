"""The section of the installation, and of the servers that run on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from comfywatchman.config.keys import Says, Section


class ComfyUI(Section, frozen=True):
    """The installation, and a server running on it."""

    url: Annotated[
        str,
        Says(
            'Where the server listens. It is asked for its node types and models; "" for never.',
            kind="url-or-off",
        ),
    ] = "http://127.0.0.1:8188"
    more_urls: Annotated[
        tuple[str, ...],
        Says(
            "Further servers that use the same models. Measuring pauses and transfers are slow "
            "while any of them runs a prompt, and each is asked whether it lists what was placed "
            "and what its runs lacked.",
            kind="url",
        ),
    ] = ()
    probe_seconds: Annotated[
        float,
        Says("How often the daemon looks whether the server is there.", ge=0.2, le=86400),
    ] = 30
    node_map: Annotated[
        Path | None,
        Says(
            "ComfyUI-Manager's extension-node-map.json, which tells what pack a node type is from, "
            "or the directory with it and its custom-node-list.json.",
            shown="looked for where ComfyUI-Manager keeps it",
            example="/path/to/extension-node-map.json",
        ),
    ] = None
    verify_placement: Annotated[
        bool, Says("Ask a running server whether it lists a placed model.")
    ] = True
    refresh: Annotated[
        bool,
        Says(
            "Have a running server look for new files after a model was placed, so that open "
            "editors reload their lists; needs a ComfyUI with an asset catalog."
        ),
    ] = True
    extra_model_paths: Annotated[
        tuple[Path, ...],
        Says(
            "Files given to ComfyUI as --extra-model-paths-config, besides the "
            "extra_model_paths.yaml beside its main.py.",
            kind="in-comfyui",
        ),
    ] = ()
    base_directory: Annotated[
        Path | None,
        Says(
            "What ComfyUI is given as --base-directory.",
            shown="comfyui_root",
            kind="in-comfyui",
            example="/data/comfyui",
        ),
    ] = None
    models_directory: Annotated[
        Path | None,
        Says(
            "What ComfyUI is given as --models-directory.",
            kind="in-comfyui",
            shown="`models` in the base directory",
            example="/data/models",
        ),
    ] = None
    output_directory: Annotated[
        Path | None,
        Says(
            "What ComfyUI is given as --output-directory.",
            kind="in-comfyui",
            shown="`output` in the base directory",
            example="/data/output",
        ),
    ] = None
