"""Offers for a missing model, and why we believe them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from comfywatchman.domain.errors import Trouble
from comfywatchman.domain.files import MODEL_SUFFIXES, Expected, ShortHash

ASKED = "asked"
"""What stands for a backend where a person names the source."""


class Grade(StrEnum):
    """How well an offer is proven; contract section 2."""

    A = "A"
    """The wanted hash is known, so the bytes prove the file wherever they come from."""
    B = "B"
    """The workflow carries the URL and the source publishes a hash."""
    C = "C"
    """The catalog knows exactly this folder and name, and the source publishes a hash."""
    D = "D"
    """A search finds exactly this filename, of the right kind, once, with a published hash."""
    E = "E"
    """Anything less."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One file at one place that may be the wanted one."""

    backend: str
    url: str
    """Canonical: no query that only changes the presentation, no signature, no token."""
    filename: str
    """What the source calls it; the wanted name decides how it is saved."""
    size: int | None = None
    sha256: str | None = None
    """Published by the source or promised by the workflow; lowercase."""
    grade: Grade = Grade.E
    evidence: tuple[str, ...] = ()
    """One sentence each, for a person to read."""
    needs: str | None = None
    """login, licence, early-access or payment."""
    page: str | None = None
    """Where a person can read about it."""
    size_about: int | None = None
    """Bytes, where the source rounds: for the room on the disk and for people, never a promise."""
    trouble: Trouble | None = None
    """Why it cannot be had from there now, or should not be: the reason behind *needs*, that the
    source gives it to nobody any more, or that its own scan found harmful code."""
    local: Path | None = None
    """A file of this machine that should have these bytes; its content is measured before use."""
    hinted: bool | None = None
    """Whether the short hashes in texts of other programs say that it is the file, or that it is
    not; ``None`` where they say nothing."""
    refused: bool = False
    """The source refused the token that is set: there has to be another one first."""
    replacement: bool = False
    """It is not the wanted file, only one that may serve instead: never chosen unattended."""

    @property
    def host(self) -> str:
        """``host`` or ``host:port`` of the address, lowercase."""
        return urlsplit(self.url).netloc.rpartition("@")[2].lower()

    @property
    def expected(self) -> Expected:
        return Expected(self.size, self.sha256)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A missing model as the resolve room sees it: one (folder, name), all that is known of it."""

    folder: str
    name: str
    urls: tuple[str, ...] = ()
    """As the workflows write them, best first."""
    sha256: tuple[str, ...] = ()
    """Every hash that a workflow gives for it; more than one is a contradiction."""
    short_hashes: tuple[ShortHash, ...] = ()
    """What texts of other programs say about its bytes: a hint, and no proof."""
    linked: tuple[str, ...] = ()
    """Models and repositories that notes of the workflows link to: the file may be there."""
    by_person: bool = False
    """A person gives an address or a hash, and no workflow: the name is only the end of it."""

    @property
    def has_name(self) -> bool:
        """Whether it can be looked for by its name."""
        return not self.by_person or PurePosixPath(self.name).suffix.lower() in MODEL_SUFFIXES

    @property
    def filename(self) -> str:
        return self.name.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class Resolution:
    """What asking the backends came to.

    Exactly one of three: *chosen* (mirrors of one file, best first), a *question* for a person
    (candidates without a choice), or nothing (both empty). Where only replacements are known,
    they are the candidates of a question whose *why* says that nothing was found.
    """

    chosen: tuple[Candidate, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    """Everything that was offered, best first, for reports and for a person to choose from."""
    why: Trouble | None = None
    """Why nothing was chosen; ``None`` where something was."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """An answer about something else than was asked."""

    requested: int | str
    returned: int | str | None
    """``None`` where it was empty."""
    trouble: Trouble
