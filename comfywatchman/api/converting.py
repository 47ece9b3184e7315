"""Values of the rooms as values of the API, and back."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.api.values import ModelReference

if TYPE_CHECKING:
    from comfywatchman.domain import references
    from comfywatchman.domain.candidates import Candidate, Wanted
    from comfywatchman.download.simple import DownloadResult
    from comfywatchman.resolve.simple import SearchResult

_WORDS = {
    "checkpoints": "checkpoint",
    "loras": "lora",
    "embeddings": "embedding",
    "upscale_models": "upscale_model",
    "diffusion_models": "diffusion_model",
    "text_encoders": "text_encoder",
    "hypernetworks": "hypernetwork",
    "style_models": "style_model",
    "latent_upscale_models": "latent_upscale_model",
    "model_patches": "model_patch",
    "audio_encoders": "audio_encoder",
}
"""Of folders whose name is a plural."""

HERE = "files"
"""The folder that is a directory itself, for what is to go into no folder of ComfyUI."""

_CONFIDENCE = {"A": 1.0, "B": 0.95, "C": 0.9, "D": 0.75, "E": 0.25}
"""By grade."""


def folder_of(model_type: str | None) -> str | None:
    """Return the folder that a word means: ``lora``, ``LORA``, ``loras``; old names as well."""
    from comfywatchman.comfyui.table import TYPE_WORDS
    from comfywatchman.domain.files import folder_name

    if not model_type:
        return None
    word = model_type.strip().replace("-", "_").replace(" ", "_")
    low = word.lower()
    found = TYPE_WORDS.get(low) or _CIVITAI.get(low)
    return found or folder_name(low)


_CIVITAI = {
    "textualinversion": "embeddings",
    "dora": "loras",
    "clip": "text_encoders",
    "clipvision": "clip_vision",
    "textencoder": "text_encoders",
    "unet": "diffusion_models",
    "motionmodule": "animatediff_models",
}
"""Civitai's types, where they are no word of `TYPE_WORDS`."""


def type_of(folder: str | None) -> str | None:
    """Return the word for one model of *folder*."""
    return None if folder is None else _WORDS.get(folder, folder)


def reference_of(
    wanted: references.ModelReference,
    finding: references.Finding | None = None,
    suggestion: str | None = None,
) -> ModelReference:
    """Return a reference, with what the disk says about it where somebody looked."""
    declared = wanted.declared
    promised = next((each.sha256 for each in declared if each.sha256), None)
    here = finding.path if finding is not None else None
    lacking = finding is not None and finding.lacking
    return ModelReference(
        filename=wanted.name,
        node_type=wanted.node_type,
        expected_type=type_of(wanted.folder),
        expected_directory=wanted.folder,
        widget_values={wanted.widget: wanted.raw},
        node_id=wanted.node,
        active=wanted.active,
        state=None if finding is None else finding.state.value,
        path=here,
        size_bytes=finding.size if finding is not None and not lacking else None,
        hash_sha256=promised if finding is None or lacking else finding.sha256 or promised,
        urls=tuple(dict.fromkeys(each.url for each in declared if each.url)),
        short_hashes=tuple((short.kind, short.digits) for short in wanted.short_hashes),
        nodes=wanted.nodes or (wanted.node,),
        suggestion=suggestion,
    )


def wanted_of(reference: ModelReference) -> Wanted:
    """Return the question that *reference* is to a backend."""
    from comfywatchman.domain.candidates import Wanted
    from comfywatchman.domain.files import ShortHash, sha256_or_none

    folder = reference.expected_directory or folder_of(reference.expected_type) or ""
    sha256 = sha256_or_none(reference.hash_sha256)
    return Wanted(
        folder,
        reference.filename.replace("\\", "/"),
        reference.urls,
        () if sha256 is None else (sha256,),
        tuple(ShortHash(kind, digits) for kind, digits in reference.short_hashes),
    )


def result_of(offer: Candidate, folder: str | None, model_id: str) -> SearchResult:
    """Return an offer as a result of a search."""
    from comfywatchman.resolve.simple import SearchResult

    told: dict[str, object] = {"grade": offer.grade.value, "evidence": list(offer.evidence)}
    told |= {"needs": offer.needs, "page": offer.page}
    if offer.trouble is not None:
        told["error"] = {"code": offer.trouble.code, "cause": offer.trouble.cause}
    return SearchResult(
        backend=offer.backend,
        model_id=model_id,
        name=offer.filename,
        filename=offer.filename,
        model_type=folder,
        download_url=offer.url,
        size_bytes=offer.size if offer.size is not None else offer.size_about,
        hash_sha256=offer.sha256,
        metadata=told,
        confidence=_CONFIDENCE[offer.grade.value],
    )


def candidate_of(result: SearchResult, url: str) -> Candidate:
    """Return *result* as what is fetched from *url*, its address in the form that is asked."""
    from comfywatchman.domain.candidates import Candidate
    from comfywatchman.domain.files import sha256_or_none

    exact = "size_about" not in result.metadata
    return Candidate(
        result.backend or "asked",
        url,
        result.filename.rpartition("/")[2],
        size=result.size_bytes if exact and result.hash_sha256 else None,
        sha256=sha256_or_none(result.hash_sha256),
        evidence=("A program asked for it.",),
        size_about=result.size_bytes,
    )


def failed(filename: str, code: str, cause: str, remedy: str) -> DownloadResult:
    """Return the result of a file that did not come."""
    from comfywatchman.download.simple import DownloadResult

    return DownloadResult(
        filename=filename, success=False, error_message=cause, error_code=code, remedy=remedy
    )


def first_of_each(found: Iterable[ModelReference]) -> tuple[ModelReference, ...]:
    """Return each (folder, name) once."""
    each: dict[tuple[str | None, str], ModelReference] = {}
    for reference in found:
        each.setdefault((reference.expected_directory, reference.filename), reference)
    return tuple(each.values())


def absolute(path: str | Path) -> Path:
    return Path(path).expanduser().absolute()
