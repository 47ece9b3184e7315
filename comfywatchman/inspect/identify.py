"""From a head to what the file is: tensors first, labels where they are silent."""

from __future__ import annotations

from dataclasses import replace

from comfywatchman.disk.heads.values import Head
from comfywatchman.inspect.adapters import control, embedding, other
from comfywatchman.inspect.autoencoders import autoencoder
from comfywatchman.inspect.diffusion import diffusion
from comfywatchman.inspect.encoders import encoder, named_encoder
from comfywatchman.inspect.identity import UNKNOWN, Identity, Tensors
from comfywatchman.inspect.labels import labeled, named
from comfywatchman.inspect.loras import lora
from comfywatchman.inspect.upscalers import upscaler

_VAE = ("first_stage_model.", "vae.")
_TEXT = ("cond_stage_model.", "conditioner.embedders.", "text_encoders.", "text_encoder.")

_ORDER = (lora, control, other, diffusion, autoencoder, encoder, upscaler, embedding)
"""A ControlNet holds half a UNet, and a checkpoint holds a VAE: the more telling comes first."""


def identify(head: Head) -> Identity:
    """Say what the file is.

    Tensors cannot lie about their shape without being useless; metadata can. Where the two
    contradict each other the tensors win, and it is told.
    """
    every = Tensors.of(head.tensors)
    found = _by_format(head, every) or _by_tensors(every)
    return _with_labels(found, labeled(head.metadata))


def _by_tensors(every: Tensors) -> Identity:
    for find in _ORDER:
        found = find(every)
        if found is not None:
            return _with_parts(found, every)
    if not len(every):
        return Identity()
    names = ", ".join(every.told(*sorted(every)[:3])).replace("tensor ", "")[:300]
    return Identity(evidence=(f"no model that is known here has tensors like {names}",))


def _with_parts(found: Identity, every: Tensors) -> Identity:
    """Call a diffusion model that brings its VAE or text encoder along a checkpoint."""
    if found.kind != "diffusion-model":
        return found
    parts = []
    if every.any_starts(*_VAE):
        parts.append("vae")
    if every.any_starts(*_TEXT):
        parts.append("text-encoder")
    if not parts:
        return found
    return replace(found, kind="checkpoint", parts=("diffusion-model", *parts))


def _by_format(head: Head, every: Tensors) -> Identity | None:
    if head.format == "gguf":
        told = head.metadata.get("general.architecture", "")
        by_tensors = diffusion(every)
        by_name = named(told) or named_encoder(told)
        if by_tensors is not None:
            evidence = (*by_tensors.evidence, *(by_name.evidence if by_name else ()))
            return replace(by_tensors, evidence=evidence)
        return by_name
    if "latent_tensor" in every:
        return Identity("latent", evidence=every.told("latent_tensor"))
    return None


def _with_labels(found: Identity, label: Identity) -> Identity:
    warnings = list(found.warnings)
    kind, architecture = found.kind, found.architecture
    if architecture == UNKNOWN:
        architecture = label.architecture
    elif label.architecture not in {UNKNOWN, architecture} and not _related(found, label):
        warnings.append(
            f"its metadata says {label.architecture}, its tensors are those of {architecture}"
        )
    if kind == UNKNOWN:
        kind = label.kind
    elif label.kind not in {UNKNOWN, kind}:
        warnings.append(f"its metadata says {label.kind}, its tensors are those of a {kind}")
    return replace(
        found,
        kind=kind,
        architecture=architecture,
        evidence=(*found.evidence, *label.evidence),
        warnings=tuple(warnings),
    )


_FAMILIES = (
    frozenset({"flux", "chroma"}),
    frozenset({"cosmos-predict2", "anima"}),
    frozenset({"sd", "sd1", "sd2", "sdxl"}),
    frozenset({"sd3-or-flux", "sd3", "flux"}),
    frozenset({"wan", "wan2.1", "wan2.2"}),
    frozenset({"sd1-or-sdxl", "sd1", "sdxl"}),
)
"""Names that do not contradict each other: one model grew from the other, or both share a part."""


def _related(found: Identity, label: Identity) -> bool:
    parts = found.kind in {"vae", "vae-approx", "text-encoder", "lora", "motion-module"}
    both = {found.architecture, label.architecture}
    if found.kind == "text-encoder":
        return True
    return parts and any(both <= family for family in _FAMILIES)
