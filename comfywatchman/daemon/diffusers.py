"""Directories in the layout of diffusers: ``model_index.json`` and one directory for each part.

Source: diffusers, ``pipeline_utils.py`` and ``configuration_utils.py``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from comfywatchman.disk.decoding import decoder_of
from comfywatchman.disk.errors import reading_failed
from comfywatchman.disk.files import open_regular
from comfywatchman.domain.errors import FileUnreadable

INDEX, CONFIG = "model_index.json", "config.json"
_LARGEST = 1 << 20
_MOST_PARTS = 64
_MOST_FILES = 10_000
_UNKNOWN = "unknown"

_FAMILIES: tuple[tuple[str, str], ...] = (
    ("StableDiffusionXL", "sdxl"),
    ("StableDiffusion3", "sd3"),
    ("StableVideoDiffusion", "svd"),
    ("StableCascade", "stable-cascade"),
    ("StableAudio", "stable-audio"),
    ("StableDiffusion", "sd"),
    ("Flux2", "flux2"),
    ("Flux", "flux"),
    ("Chroma", "chroma"),
    ("Wan", "wan"),
    ("HunyuanVideo", "hunyuan-video"),
    ("HunyuanImage", "hunyuan-video"),
    ("HunyuanDiT", "hunyuan-dit"),
    ("LTX2", "ltx2"),
    ("LTX", "ltxv"),
    ("QwenImage", "qwen-image"),
    ("ZImage", "z-image"),
    ("Lumina2", "lumina2"),
    ("Cosmos2", "cosmos-predict2"),
    ("Cosmos", "cosmos"),
    ("PixArt", "pixart"),
    ("AuraFlow", "auraflow"),
    ("HiDream", "hidream"),
    ("Mochi", "mochi"),
    ("CogVideoX", "cogvideox"),
    ("OmniGen2", "omnigen2"),
)
"""How the class of a pipeline, or of its transformer, begins."""

_KINDS: tuple[tuple[str, str], ...] = (
    ("ControlNet", "controlnet"),
    ("Transformer", "diffusion-model"),
    ("UNet", "diffusion-model"),
    ("Autoencoder", "vae"),
    ("TextModel", "text-encoder"),
    ("EncoderModel", "text-encoder"),
    ("CLIPVision", "clip-vision"),
)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What a directory says it is."""

    kind: str
    architecture: str
    evidence: tuple[str, ...]
    parts: Mapping[str, str] = field(default_factory=dict)
    """Name of a part, which is its directory, and its class."""
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    type: str
    files: int
    size: int


def pipeline_of(path: Path) -> Pipeline:
    """Read what the directory *path* says it is.

    Raises:
        FileUnreadable: it is no such directory, or its description cannot be read.
        DiskFailed
    """
    for name in (INDEX, CONFIG):
        if (path / name).is_file():
            said = _read(path / name)
            return _pipeline(said) if name == INDEX else _component(said)
    raise FileUnreadable(
        f"{path} is a directory without {INDEX} or {CONFIG}.",
        remedy="Name a model file, or a directory in the layout of diffusers.",
    )


def _pipeline(said: Mapping[str, Any]) -> Pipeline:
    called = str(said.get("_class_name", ""))[:200]
    parts = {
        name[:200]: str(value[1])[:200]
        for name, value in list(said.items())[:_MOST_PARTS]
        if isinstance(value, list) and len(value) == 2 and value[1] is not None and _is_name(name)
    }
    transformer = parts.get("transformer") or parts.get("unet") or ""
    architecture = _family(called)
    evidence = [f"{INDEX} names the class {called}"] if called else []
    if architecture == _UNKNOWN:
        architecture = _family(transformer)
        evidence += [f"{INDEX} names the class {transformer}"] if transformer else []
    version = str(said.get("_diffusers_version", ""))[:100]
    facts = {"diffusers_version": version} if version else {}
    return Pipeline("pipeline", architecture, tuple(evidence), parts, facts)


def _is_name(text: str) -> bool:
    """Whether *text* can be the name of a directory right below, and leads nowhere else."""
    return "/" not in text and "\0" not in text and text not in {"", ".", ".."}


def _component(said: Mapping[str, Any]) -> Pipeline:
    named = said.get("_class_name") or said.get("architectures")
    called = str(named[0] if isinstance(named, list) and named else named or "")[:200]
    kind = next((kind for word, kind in _KINDS if word in called), _UNKNOWN)
    evidence = (f"{CONFIG} names the class {called}",) if called else ()
    return Pipeline(kind, _family(called), evidence)


def _family(called: str) -> str:
    return next((name for start, name in _FAMILIES if called.startswith(start)), _UNKNOWN)


def _read(path: Path) -> Mapping[str, Any]:
    descriptor = open_regular(path)
    try:
        data = os.read(descriptor, _LARGEST + 1)
    except OSError as error:
        raise reading_failed(error, path) from error
    finally:
        os.close(descriptor)
    try:
        # Cut short where it is longer than any: then it is no JSON any more.
        return decoder_of(dict[str, Any]).decode(data[:_LARGEST])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FileUnreadable(
            f"{path} is no description of a model ({str(error)[:100]}).",
            remedy="Fetch the directory again.",
        ) from error


def components_of(path: Path, pipeline: Pipeline) -> tuple[Part, ...]:
    """Return the parts of a pipeline with what is there of each, or the directory as one part."""
    if not pipeline.parts:
        files, size = _count(path)
        return (Part(".", pipeline.kind, files, size),)
    return tuple(
        Part(name, type_, *_count(path / name)) for name, type_ in sorted(pipeline.parts.items())
    )


def _count(directory: Path) -> tuple[int, int]:
    sizes = list(_sizes(directory))
    return len(sizes), sum(sizes)


def _sizes(directory: Path) -> Iterator[int]:
    if not directory.is_dir():
        return
    try:
        with os.scandir(directory) as entries:
            for number, entry in enumerate(entries):
                if number >= _MOST_FILES:
                    return
                if entry.is_file():
                    yield entry.stat().st_size
    except OSError as error:
        raise reading_failed(error, directory) from error
