"""Records as Civitai's API has them, made small."""

from __future__ import annotations

from typing import Any

SHA256 = "a5f58eb1c33616c4f06bca55af39876a7b817913cd829caa8acb111b770c85cc"


def a_file(name: str, number: int = 1, /, **more: Any) -> dict[str, Any]:
    """A file; *sha256* sets the hash, ``None`` leaves it out."""
    sha256 = more.pop("sha256", f"{number:064x}")
    hashes = {} if sha256 is None else {"SHA256": sha256.upper(), "AutoV2": sha256[:10].upper()}
    return {
        "id": number,
        "name": name,
        "type": "Model",
        "sizeKB": 1024.5,
        "metadata": {"format": "SafeTensor", "size": "pruned", "fp": "fp16"},
        "pickleScanResult": "Success",
        "virusScanResult": "Success",
        "hashes": hashes | more.pop("hashes", {}),
        "downloadUrl": "https://civitai.com/api/download/models/1",
        **more,
    }


def a_version(number: int, *files: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A version as the lookup by its id gives it."""
    return {
        "id": number,
        "modelId": more.pop("modelId", 7),
        "name": "v1.0",
        "baseModel": "SDXL 1.0",
        "status": "Published",
        "availability": "Public",
        "usageControl": "Download",
        "model": {"name": "Some Model", "type": "LORA"} | more.pop("model", {}),
        "files": list(files),
        **more,
    }


def a_model(number: int, name: str, *versions: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A model as the search and the lookup by its id give it."""
    nested = [
        {key: value for key, value in version.items() if key not in {"model", "modelId"}}
        for version in versions
    ]
    return {"id": number, "name": name, "type": "LORA", "modelVersions": nested, **more}


def a_page(*models: dict[str, Any], cursor: str | None = None) -> dict[str, Any]:
    """A page of a search."""
    metadata = {} if cursor is None else {"nextCursor": cursor}
    return {"items": list(models), "metadata": metadata}
