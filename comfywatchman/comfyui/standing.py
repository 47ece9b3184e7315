"""How it stands with a node type: core, installed, missing or not known, and who brings it. Pure.

``missing`` is said only where it is known what is installed. The order in which a pack is believed
to bring a type: the server, the installed sources, ``cnr_id``, ``aux_id``, preemptions of the node
map, its names (one pack, or all of them), and its patterns as no more than a guess.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from comfywatchman.comfyui.editor import EDITOR_TYPES
from comfywatchman.domain.packs import (
    Claim,
    InstalledPack,
    NodeTypeState,
    Pack,
    Standing,
    Told,
    TypeKind,
    repository_url,
    written_pack,
)
from comfywatchman.domain.references import NodeTypeUse

OF_PACKS = "custom_nodes."
_FRAME = re.compile(
    r"workflow[>/].*|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.DOTALL
)
"""Group nodes, and subgraphs whose definition the file lacks: no pack brings them."""

_COMFYUI = frozenset({"comfyanonymous/comfyui", "comfy-org/comfyui"})
"""Where the node map lists ComfyUI's own types, also those that are newer than our table."""

_SUFFIX = re.compile(r"\s*[(\[][^()\[\]]*[)\]]$")


@dataclass(frozen=True, slots=True)
class Known:
    """What is known about the installation as a whole."""

    packs: Sequence[InstalledPack] = ()
    looked: bool = False
    """Whether every ``custom_nodes`` directory could be listed."""
    served: bool = False
    """Whether a server ever told its node types."""
    serving: bool = False
    """Whether it runs now, and these are the types that it offers now."""


class Facts(Protocol):
    """What may be asked about one node type or pack."""

    @property
    def known(self) -> Known: ...
    def module(self, node_type: str) -> str | None:
        """Return where the server says that the type is from; ``None`` where it has none."""

    def having(self, node_type: str) -> Sequence[tuple[Path, TypeKind]]:
        """Return the packs on disk that have the type, and how."""

    def claims(self, node_type: str) -> Sequence[Claim]:
        """Return what the node map says about it: the most reliable kind of claim only."""

    def pack_called(self, cnr_id: str | None, repository: str | None) -> Pack | None:
        """Return what the node map knows about a pack."""


def standing(use: NodeTypeUse, facts: Facts) -> Standing:
    """Return how it stands with the node type of *use*."""
    module = facts.module(use.type)
    known = facts.known
    if use.core:
        return Standing(NodeTypeState.CORE, outdated=known.serving and module is None)
    if _FRAME.fullmatch(use.type):
        return Standing(NodeTypeState.UNKNOWN)
    if module is not None and not module.startswith(OF_PACKS):
        return Standing(NodeTypeState.CORE, told=Told.SERVER)
    if any(claim.repository in _COMFYUI for claim in facts.claims(use.type)):
        return Standing(NodeTypeState.CORE, told=Told.NAME, outdated=known.serving)
    return _Case(use, facts, module).standing()


@dataclass(frozen=True, slots=True)
class _Case:
    """One node type that does not come with ComfyUI."""

    use: NodeTypeUse
    facts: Facts
    module: str | None

    def standing(self) -> Standing:
        return self._served() or self._on_disk() or self._named() or self._absent()

    # -- what is here

    def _served(self) -> Standing | None:
        """Believe a server that runs; one that ran, as long as the pack it named is still here."""
        if self.module is None:
            return None
        name = self.module.removeprefix(OF_PACKS)
        own = next((p for p in self._packs() if p.enabled and p.name == name), None)
        if own is None and not self.facts.known.serving:
            return None
        pack = self._called(own) if own is not None else written_pack(self.use) or Pack(name)
        return Standing(NodeTypeState.INSTALLED, pack, told=Told.SERVER)

    def _on_disk(self) -> Standing | None:
        found = dict(self.facts.having(self.use.type))
        for pack in self._packs():
            kind = found.get(pack.path)
            if pack.enabled and kind in {TypeKind.PYTHON, TypeKind.SCRIPT}:
                loaded = kind is TypeKind.SCRIPT or not self.facts.known.serving
                found_in = self._called(pack)
                return Standing(NodeTypeState.INSTALLED, found_in, told=Told.DISK, loaded=loaded)
        return None

    def _named(self) -> Standing | None:
        """Take a pack that is here for the one that has it, where reading it could not tell."""
        for pack in self._packs():
            if pack.enabled and self._may_have(pack) and self._is_meant(pack):
                return Standing(NodeTypeState.INSTALLED, self._called(pack), told=self._told())
        return None

    def _called(self, own: InstalledPack) -> Pack:
        """Return what a pack that is here calls itself, and else what the map calls it."""
        listed = self.facts.pack_called(own.cnr_id, own.repository)
        pack = own.pack
        if listed is None:
            return pack
        same = (pack.url or "").lower() in {"", (listed.url or "").lower()}
        title, url = pack.title or listed.title, listed.url if same else pack.url
        return Pack(own.cnr_id or listed.id, title, url)

    def _may_have(self, pack: InstalledPack) -> bool:
        """Whether the pack may have the type, although reading it did not find it."""
        if self._mentions(pack):
            return True  # at least in the editor
        return not pack.complete and not self.facts.known.serving

    def _mentions(self, pack: InstalledPack) -> bool:
        words = {self.use.type, _SUFFIX.sub("", self.use.type)}
        mention = (pack.path, TypeKind.MENTION)
        return any(mention in self.facts.having(word) for word in words)

    def _is_meant(self, pack: InstalledPack) -> bool:
        """Whether the workflow or the node map means this pack."""
        if self.use.cnr_id or self.use.aux_id:
            return pack.is_called(self.use.cnr_id, self.use.aux_id)
        return any(pack.is_called(claim.cnr_id, claim.repository) for claim in self._claims())

    # -- what is not

    def _absent(self) -> Standing:
        pack, packs, told = self._bringer()
        off = self._registered_by_one_off()
        if not self._sure(told if off is None else Told.DISK):
            return Standing(NodeTypeState.UNKNOWN, pack, packs, told)
        off = off or next((p for p in self._packs() if not p.enabled and self._is_meant(p)), None)
        if off is not None:
            return Standing(NodeTypeState.MISSING, self._called(off), told=Told.DISK, disabled=True)
        here = any(p.enabled and self._is_meant(p) for p in self._packs())
        return Standing(NodeTypeState.MISSING, pack, packs, told, outdated=here)

    def _sure(self, told: Told | None) -> bool:
        """Whether what is installed is known so well that the type can be called missing.

        A pack that reading could not tell all of may have it, but not where somebody says, *told*,
        that another one has it.
        """
        known = self.facts.known
        if known.serving and self.use.type not in EDITOR_TYPES:
            return True
        if not known.looked:
            return False
        vague = [pack for pack in self._packs() if pack.enabled and not pack.complete]
        if any(self._mentions(pack) for pack in self._packs() if pack.enabled):
            return False
        return not vague or told not in {None, Told.PATTERN}

    def _registered_by_one_off(self) -> InstalledPack | None:
        """Return the pack whose source registers the type, and that is switched off."""
        having = dict(self.facts.having(self.use.type))
        for pack in self._packs():
            if not pack.enabled and having.get(pack.path) in {TypeKind.PYTHON, TypeKind.SCRIPT}:
                return pack
        return None

    def _bringer(self) -> tuple[Pack | None, tuple[Pack, ...], Told | None]:
        """Return the one pack that brings the type, or all that may, and who says so."""
        written = self._written()
        if written is not None:
            return written, (), self._told()
        claims = self._claims()
        packs = tuple(dict.fromkeys(claim.pack for claim in claims))
        if len(packs) > 1:
            return None, packs, claims[0].told
        return (packs[0], (), claims[0].told) if packs else (None, (), None)

    def _written(self) -> Pack | None:
        """Return the pack that the workflow names, with what the map knows about it."""
        written = written_pack(self.use)
        if written is None:
            return None
        listed = self.facts.pack_called(self.use.cnr_id, self.use.aux_id)
        if listed is None:
            return written
        return Pack(written.id, listed.title, written.url or listed.url)

    def _told(self) -> Told | None:
        if self.use.cnr_id:
            return Told.CNR_ID
        if self.use.aux_id:
            return Told.AUX_ID
        claims = self._claims()
        return claims[0].told if claims else None

    def _claims(self) -> Sequence[Claim]:
        own = EDITOR_TYPES.get(self.use.type)
        if own is not None:
            cnr_id, repository = own
            pack = Pack(cnr_id, url=repository_url(repository))
            return (Claim(pack, cnr_id, repository.lower(), Told.NAME),)
        return self.facts.claims(self.use.type)

    def _packs(self) -> Sequence[InstalledPack]:
        return self.facts.known.packs
