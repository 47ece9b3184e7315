"""Bring what workflows lack, and spare LoRA Manager the hashing: ``lora_manager.py WORKFLOW…``.

LoRA Manager looks for ``NAME.metadata.json`` beside each model, and measures a model that has none.
A side-car that is there is left alone. The other direction needs no program: the daemon reads the
hashes that LoRA Manager and Civitai Toolkit keep (``inventory.claims`` in docs/settings.md).
"""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from comfywatchman import ComfyFixerCore, DownloadResult

FOLDERS = {"loras", "checkpoints", "diffusion_models", "unet", "embeddings"}
"""Those that LoRA Manager lists."""


def side_cars(results: Iterable[DownloadResult]) -> Iterator[Path]:
    """Write a side-car for each model that came, and yield where."""
    for result in results:
        model = result.save_path
        if model is None or not FOLDERS & set(model.parts):
            continue
        facts = {
            "file_name": model.stem,
            "model_name": model.stem,
            "file_path": model.as_posix(),
            "size": model.stat().st_size,
            "modified": model.stat().st_mtime,
            "sha256": result.hash_sha256,
            "base_model": "Unknown",
            "preview_url": "",
        }
        try:
            with model.with_name(f"{model.stem}.metadata.json").open("x", encoding="utf-8") as file:
                json.dump(facts, file, indent=2)
        except FileExistsError:
            continue
        yield Path(file.name)


def main(workflows: Sequence[str]) -> int:
    with ComfyFixerCore() as core:
        missing = core.analyze_workflows(workflows).missing_models
        results = core.download_models(missing)
    for path in side_cars(results):
        print(path)
    return 0 if all(result.success for result in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
