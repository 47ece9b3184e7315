"""Node packs, the node types that they bring, and how it stands with a node type."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.references import NodeTypeUse


class NodeTypeState(StrEnum):
    CORE = "core"
    INSTALLED = "installed"
    MISSING = "missing"
    UNKNOWN = "unknown"


class Told(StrEnum):
    """Who says which pack a node type is from, the most reliable first."""

    SERVER = "server"
    """The running ComfyUI, when it was last asked."""
    DISK = "disk"
    """The source of an installed pack."""
    CNR_ID = "cnr_id"
    """The workflow: an id of the registry."""
    AUX_ID = "aux_id"
    """The workflow: a repository."""
    FIRST = "preemption"
    """The node map, which gives the type to this pack before all others."""
    NAME = "name"
    """The node map, where it lists the type."""
    PATTERN = "pattern"
    """The node map, by a pattern that fits the type: no more than a guess."""


@dataclass(frozen=True, slots=True)
class Pack:
    """A node pack, as a person finds it."""

    id: str
    """Of the registry where it has one, else ``owner/name`` of its repository, else its
    directory's name."""
    title: str | None = None
    url: str | None = None


class TypeKind(StrEnum):
    """How a pack on disk has a node type."""

    PYTHON = "python"
    """Its Python registers it."""
    SCRIPT = "script"
    """Its scripts do: it lives in the editor only, and no server lists it."""
    MENTION = "mention"
    """Its source has the word where it may be one."""


@dataclass(frozen=True, slots=True)
class InstalledPack:
    """A pack in a ``custom_nodes`` directory, switched on or off."""

    path: Path
    """Its directory, or its one file."""
    name: str
    """What ComfyUI calls its module: the name of its directory when it is switched on."""
    enabled: bool
    cnr_id: str | None = None
    """Lowercase."""
    repository: str | None = None
    """``owner/name`` on the forge it was cloned from, lowercase."""
    title: str | None = None
    version: str | None = None
    complete: bool = True
    """Whether reading its source told every node type that its Python registers."""
    trouble: Trouble | None = None
    """Why its source could not be read at all."""

    @property
    def pack(self) -> Pack:
        url = None if self.repository is None else f"https://github.com/{self.repository}"
        return Pack(self.cnr_id or self.repository or self.name, self.title, url)

    def is_called(self, cnr_id: str | None, repository: str | None) -> bool:
        """Say whether it is the pack of this registry id, or of this repository."""
        if cnr_id is not None and cnr_id.lower() in {self.cnr_id, self.name.lower()}:
            return True
        if repository is None:
            return False
        wanted = repository.lower()
        if "/" in wanted and self.repository is not None:
            return wanted == self.repository
        return wanted.rpartition("/")[2] == self.name.lower()


@dataclass(frozen=True, slots=True)
class Claim:
    """What the node map says about one node type."""

    pack: Pack
    cnr_id: str | None
    repository: str | None
    told: Told


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with a node type."""

    state: NodeTypeState
    pack: Pack | None = None
    """Who brings it; ``None`` where nobody knows, or several may."""
    packs: tuple[Pack, ...] = ()
    """All that may bring it, where they are several."""
    told: Told | None = None
    """Who says so about the pack."""
    disabled: bool = False
    """Its pack lies on this machine, switched off."""
    outdated: bool = False
    """What is installed is there without this node type: another version of it has it."""
    loaded: bool = True
    """False where the pack is installed and the running server does not offer the type."""


class NodeTypes(Protocol):
    """What is known about node types at the time of a report."""

    def standing(self, use: NodeTypeUse) -> Standing: ...


class NothingKnown:
    """No installation was looked at: only ComfyUI's own node types are told apart."""

    def standing(self, use: NodeTypeUse) -> Standing:
        pack = written_pack(use)
        if use.core:
            return Standing(NodeTypeState.CORE)
        told = None if pack is None else Told.CNR_ID if use.cnr_id else Told.AUX_ID
        return Standing(NodeTypeState.UNKNOWN, pack, told=told)


def written_pack(use: NodeTypeUse) -> Pack | None:
    """Return the pack that the workflow names for a node type."""
    if use.cnr_id:
        return Pack(use.cnr_id, url=repository_url(use.aux_id))
    return Pack(use.aux_id, url=repository_url(use.aux_id)) if use.aux_id else None


def repository_url(repository: str | None) -> str | None:
    """Return the page of ``owner/name``; ``None`` for anything else that stands there."""
    if repository is None or repository.count("/") != 1:
        return None
    plain = repository.replace("/", "").replace("-", "").replace(".", "").replace("_", "")
    return f"https://github.com/{repository}" if plain.isascii() and plain.isalnum() else None
